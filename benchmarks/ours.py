"""Load the made-up market with this project, in a process of its own; `suite` starts it and measures its memory.

Usage: `python -m benchmarks.ours FOLDER SYMBOLS FIRST LAST STEP`, where STEP is `fetch`, `load`, or `session` (the
last session alone, from compact responses, after a load of the other sessions). It prints rows and seconds as JSON.
"""

import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.market import Market, MarketSource
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.pipeline import Pipeline


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


def main(folder: str, symbols: str, first: str, last: str, step: str) -> None:
    """Run one step."""
    # As the command line and Dagster's processes do.
    collect_garbage_rarely()
    root, market = Path(folder), Market(int(symbols), date.fromisoformat(first), date.fromisoformat(last))
    earlier, newest = market.sessions[:-1], market.sessions[-1]
    if step == "fetch":
        pipeline(root, market, newest).fetch([newest])
        return
    sessions, parts = market.sessions, pipeline(root, market, newest)
    if step == "session":
        before = pipeline(root, market, earlier[-1])
        before.fetch([earlier[-1]])
        load(before, earlier)
        # Maintenance removes them after some days; 10,000 symbols and 20 years would need 20 GB of disk with them.
        for staged in before.backend.warehouse.staged_loads():
            before.backend.warehouse.drop_staging(staged)
        parts, sessions = pipeline(root, market, newest, compact=True), [newest]
        parts.fetch(sessions)
    import_libraries(market)
    started = time.perf_counter()
    load(parts, sessions)
    seconds = time.perf_counter() - started
    condition = f"WHERE trade_date = DATE '{newest}'" if step == "session" else ""
    rows = parts.query(f"SELECT COUNT(*) AS found FROM published.daily_prices {condition}").to_pylist()  # noqa: S608 (a date)
    print(json.dumps({"rows": rows[0]["found"], "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
