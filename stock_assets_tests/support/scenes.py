"""Two weeks of five symbols whose bars a test changes, and what is published before and after.

The bars of `calm_source` are all alike, so that one changed bar is the only thing an audit can find. Those of
`wavy_source` differ from day to day, so that a wrong look-back shows in the metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.limits import Limits
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES, Table
from stock_assets.core.universe import Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.load import Load
from stock_assets.publish.publishing import Published, publish
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import deliver, walk
from stock_assets_tests.support.steps import FIVE, LIMITS, fetch, published_rows

FIRST_WEEK = sessions_between(date(2012, 3, 1), date(2012, 3, 7))
SECOND_WEEK = sessions_between(date(2012, 3, 8), date(2012, 3, 14))
TWO_WEEKS = FIRST_WEEK + SECOND_WEEK
CALM_BAR = "100,102,99,101,1000"
BAD_BAR = "100,102,99,101,-5"

# What differs between two backends that hold the same bars: when they were fetched and staged.
_OF_THE_FETCH = ("fetched_at", "payload", "load_id")


@dataclass(frozen=True)
class Scene(PipelineParts):
    """A backend, a source and a universe, with the steps of the path as short calls."""

    backend: Backend
    source: ScriptedSource
    universe: Universe = FIVE
    limits: Limits = LIMITS

    def change(self, **parts: object) -> None:
        """Replace some parts, such as the universe; a pipeline itself never changes."""
        for name, value in parts.items():
            object.__setattr__(self, name, value)

    def fetch(self, sessions: Sequence[date]) -> None:
        """Store the answers for some sessions."""
        fetch(self.backend, self.source, self.universe, sessions)

    def deliver_again(self) -> None:
        """Store a new answer of every symbol, with all the bars the vendor has now."""
        for symbol in self.universe.symbols:
            deliver(self.backend, symbol, self.source.fetch_prices(symbol, []))

    def stage(self, sessions: Sequence[date]) -> Load:
        """Stage the sessions as one load."""
        return stage(self, sessions)

    def publish(self, sessions: Sequence[date]) -> Published:
        """Publish the newest load of the sessions."""
        return publish(self, sessions, pause=lambda _: None)

    def run(self, sessions: Sequence[date]) -> Published:
        """Fetch what is missing, stage and publish."""
        self.fetch(sessions)
        self.stage(sessions)
        return self.publish(sessions)


def calm_source(symbols: Sequence[str] = FIVE.symbols, sessions: Sequence[date] = TWO_WEEKS) -> ScriptedSource:
    """Give every symbol the same bar on every session."""
    source = ScriptedSource()
    for symbol in symbols:
        source.set_bars(symbol, dict.fromkeys(sessions, CALM_BAR))
    return source


def wavy_source(symbols: Sequence[str] = FIVE.symbols, sessions: Sequence[date] = TWO_WEEKS) -> ScriptedSource:
    """Give every symbol a different bar on every session."""
    source = ScriptedSource()
    for symbol in symbols:
        source.set_bars(symbol, walk(symbol, sessions))
    return source


def tamper(backend: Backend, load: Load, table: Table, select: str) -> None:
    """Overwrite a staging table of a load; `{name}` in the SELECT is its own name."""
    with backend.warehouse.open(load.load_id) as sql:
        sql.stage(table, select.format(name=sql.name(table).value))


def state(backend: Backend) -> dict[str, object]:
    """Everything a reader can see of the published tables: versions, and the rows of the current one."""
    return {
        table.full_name: (backend.warehouse.history(table), published_rows(backend, table))
        for table in PUBLISHED_TABLES
    }


def content(backend: Backend) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The published and the quarantined rows, without what says when they were fetched and staged."""
    quarantine = [
        {name: value for name, value in row.items() if name not in _OF_THE_FETCH}
        for row in published_rows(backend, QUARANTINED_PRICES)
    ]
    return published_rows(backend, DAILY_PRICES), quarantine


def keys(rows: Sequence[dict[str, object]]) -> set[tuple[object, object]]:
    """The (symbol, session) of each row."""
    return {(row["symbol"], row["trade_date"]) for row in rows}


def rebuilt(
    backend: Backend, scene: Scene, sessions: Sequence[date]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """What `content` is in an empty backend that gets the source's present bars as one load."""
    Scene(backend, scene.source, scene.universe, scene.limits).run(sessions)
    return content(backend)
