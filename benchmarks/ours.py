"""Load the made-up market with this project, in a process of its own; `suite` starts it and measures its memory.

Usage: `python -m benchmarks.ours FOLDER SYMBOLS FIRST LAST STEP`. It prints rows and seconds as JSON. STEP is `fetch`
or `load`, of all sessions; `history`, a load of all sessions but the last one, whose compact responses are stored then;
or, after that, `session`, the last session alone: the median of some repetitions.
"""

import json
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.market import Market, MarketSource
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.pipeline import Pipeline

REPETITIONS = 9


def pipeline(root: Path, market: Market, until: date, *, compact: bool = False) -> Pipeline:
    """Return a pipeline of the market's sessions up to one session."""
    # A fifth of the symbols is listed late, without saying so in the universe.
    limits = Limits(min_coverage=0.5, max_quarantined_share=0.25)
    source = MarketSource(market, until, compact=compact)
    return Pipeline(LocalBackend(root), source, market.universe(), limits)


def load(parts: Pipeline, sessions: list[date]) -> None:
    """Stage, audit and publish, as a run does."""
    parts.audit(parts.stage(sessions))
    parts.publish(sessions)


def import_libraries(market: Market) -> None:
    """Load a few symbols into another folder: a first load imports libraries, which the scripts do at their start.

    It is not a smaller load of the same data: nothing that it computes or writes is used again.
    """
    few = Market(5, market.first, market.last)
    with tempfile.TemporaryDirectory() as folder:
        parts = pipeline(Path(folder), few, few.sessions[-1])
        parts.fetch([few.sessions[-1]])
        load(parts, few.sessions)


def load_history(root: Path, market: Market) -> None:
    """Load all sessions but the last one, whose responses are stored then."""
    earlier, newest = market.sessions[:-1], market.sessions[-1]
    before = pipeline(root, market, earlier[-1])
    before.fetch([earlier[-1]])
    load(before, earlier)
    # Maintenance removes them after some days; 10,000 symbols and 20 years would need 20 GB of disk with them.
    for staged in before.backend.warehouse.staged_loads():
        before.backend.warehouse.drop_staging(staged)
    pipeline(root, market, newest, compact=True).fetch([newest])


def seconds_of_session(parts: Pipeline, session: date) -> float:
    """Return the median seconds of loading one session; before each repetition, the tables are rolled back."""
    warehouse = parts.backend.warehouse
    before = [(table, found[0].snapshot_id) for table in PUBLISHED_TABLES if (found := warehouse.history(table))]

    def once() -> float:
        for table, snapshot_id in before:
            warehouse.rollback(table, snapshot_id)
        return seconds_of_load(parts, [session])

    return statistics.median(once() for _ in range(REPETITIONS))


def seconds_of_load(parts: Pipeline, sessions: list[date]) -> float:
    """Return the seconds of one load."""
    started = time.perf_counter()
    load(parts, sessions)
    return time.perf_counter() - started


def main(folder: str, symbols: str, first: str, last: str, step: str) -> None:
    """Run one step."""
    # As the command line and Dagster's processes do.
    collect_garbage_rarely()
    root, market = Path(folder), Market(int(symbols), date.fromisoformat(first), date.fromisoformat(last))
    newest = market.sessions[-1]
    if step == "history":
        load_history(root, market)
        return
    parts = pipeline(root, market, newest)
    if step == "fetch":
        parts.fetch([newest])
        return
    import_libraries(market)
    one = step == "session"
    seconds = seconds_of_session(parts, newest) if one else seconds_of_load(parts, market.sessions)
    condition = f"WHERE trade_date = DATE '{newest}'" if one else ""
    rows = parts.query(f"SELECT COUNT(*) AS found FROM published.daily_prices {condition}").to_pylist()  # noqa: S608 (a date)
    print(json.dumps({"rows": rows[0]["found"], "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
