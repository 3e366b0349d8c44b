"""Two weeks of five symbols whose bars a test changes, and the published tables before and after.

The bars of `calm_source` stay near 100, so that one changed bar is the only thing that an audit can find; yet no bar
repeats another one, so that an audit of repeated bars finds nothing either. The bars of `wavy_source` differ so much
from day to day that a wrong look-back is visible in the metrics.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.backends.interface import Backend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES, Table
from stock_assets.core.universe import Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.load import Load, record_staging
from stock_assets.publish.publishing import Published, publish
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver, walk
from stock_assets_tests.support.steps import FIVE, LIMITS, fetch, rows_of_tables

FIRST_WEEK = sessions_between(date(2012, 3, 1), date(2012, 3, 7))
SECOND_WEEK = sessions_between(date(2012, 3, 8), date(2012, 3, 14))
TWO_WEEKS = FIRST_WEEK + SECOND_WEEK
CALM_BAR = "100,102,99,101,1000"
BAD_BAR = "100,102,99,101,-5"

# Columns that differ between two backends with the same bars: when the bars were fetched and staged.
_FETCH_COLUMNS = ("fetched_at", "payload", "load_id")


@dataclass(frozen=True)
class Scene(PipelineParts):
    """A backend, a source, a universe and limits, with the steps of the data path as short calls."""

    backend: Backend
    source: ScriptedSource
    universe: Universe = FIVE
    limits: Limits = LIMITS

    def change(self, **parts: object) -> None:
        """Replace some parts, such as the universe; a real pipeline is immutable."""
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    def fetch(self, sessions: Sequence[date]) -> None:
        """Request the missing bars of some sessions and store the responses."""
        fetch(self.backend, self.source, self.universe, sessions)

    def deliver_again(self) -> None:
        """Store a new response for every symbol, with all bars that the vendor has now."""
        for symbol in self.universe.symbols:
            deliver(self.backend, symbol, self.source.fetch_prices(symbol, []))

    def stage(self, sessions: Sequence[date]) -> Load:
        """Stage the sessions as one load."""
        return stage(self, sessions)

    def publish(self, sessions: Sequence[date]) -> Published:
        """Publish the newest load of the sessions."""
        return publish(self, sessions, pause=lambda _: None)

    def run(self, sessions: Sequence[date]) -> Published:
        """Fetch missing bars, stage and publish."""
        self.fetch(sessions)
        self.stage(sessions)
        return self.publish(sessions)


def calm_source(symbols: Sequence[str] = FIVE.symbols, sessions: Sequence[date] = TWO_WEEKS) -> ScriptedSource:
    """Return a source with a calm bar of every symbol on every session: no audit finds anything, no bar repeats."""
    source = ScriptedSource()
    for symbol in symbols:
        source.set_bars(symbol, {session: calm_bar(symbol, session) for session in sessions})
    return source


def calm_bar(symbol: str, session: date) -> str:
    """Return the `open,high,low,close,volume` of `calm_source`; symbol and session alone determine it."""
    dice = random.Random(f"calm 1 {symbol} {session}")  # noqa: S311 (repeatable prices, no secret)
    open_, close = (round(dice.uniform(98, 102), 4) for _ in range(2))
    high = round(max(open_, close) + dice.uniform(0.1, 1), 4)
    low = round(min(open_, close) - dice.uniform(0.1, 1), 4)
    return f"{open_},{high},{low},{close},{dice.randrange(100_000, 1_000_000)}"


def wavy_source(symbols: Sequence[str] = FIVE.symbols, sessions: Sequence[date] = TWO_WEEKS) -> ScriptedSource:
    """Return a source with a random walk of every symbol."""
    source = ScriptedSource()
    for symbol in symbols:
        source.set_bars(symbol, walk(symbol, sessions))
    return source


def tamper(backend: Backend, load: Load, table: Table, select: str) -> None:
    """Overwrite a staging table of a load, and its digest; `{name}` in the SELECT is the name of the table.

    So a statement under sql/stage would have written it.
    """
    record_staging(backend, load, overwrite(backend, load, table, select))


def overwrite(backend: Backend, load: Load, table: Table, select: str) -> str:
    """Overwrite a staging table of a load as another program would; return the new digest of its staging tables."""
    with backend.warehouse.connect(load.load_id) as sql:
        sql.stage(table, select.format(name=sql.name(table).value))
        return sql.digests().staging


def state(backend: Backend) -> dict[str, object]:
    """Return everything that consumers see of the published tables: snapshots, and the rows of the current one."""
    contents = rows_of_tables(backend, *PUBLISHED_TABLES)
    return {
        table.full_name: (backend.warehouse.history(table), rows)
        for table, rows in zip(PUBLISHED_TABLES, contents, strict=True)
    }


def content(backend: Backend) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the published and the quarantined rows, without the columns about fetching and staging."""
    prices, quarantined = rows_of_tables(backend, DAILY_PRICES, QUARANTINED_PRICES)
    quarantine = [{name: value for name, value in row.items() if name not in _FETCH_COLUMNS} for row in quarantined]
    return prices, quarantine


def keys(rows: Sequence[dict[str, object]]) -> set[tuple[object, object]]:
    """Return the (symbol, session) of each row."""
    return {(row["symbol"], row["trade_date"]) for row in rows}


def rebuilt(
    backend: Backend, scene: Scene, sessions: Sequence[date]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the `content` of an empty backend after one load of all bars that the source has now."""
    Scene(backend, scene.source, scene.universe, scene.limits).run(sessions)
    return content(backend)
