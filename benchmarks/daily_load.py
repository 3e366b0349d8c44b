"""What the daily load costs, and whether it grows with the history. Run: `python -m benchmarks.daily_load`.

Each line is the median of some repetitions, first in seconds, then against the first line. A repetition stages,
audits and commits one session for real: before each, the table is rolled back to the version without it.
"""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

REPETITIONS = 7
LAST = date(2013, 3, 1)
DAY_BEFORE = date(2013, 2, 28)
HISTORIES = {"1 month": date(2013, 2, 1), "1 year": date(2012, 3, 1), "13 years": date(2000, 3, 1)}

PIPELINE = Pipeline.from_settings(Settings())


def load(pipeline: Pipeline, first: date, last: date) -> None:
    """Stage, audit and publish a range."""
    sessions = sessions_between(first, last)
    pipeline.audit(pipeline.stage(sessions))
    pipeline.publish(sessions)


def seconds(work: Callable[[], None]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fetched(root: Path) -> Pipeline:
    """Store all responses in an empty folder."""
    pipeline = replace(PIPELINE, backend=LocalBackend(root))
    pipeline.fetch([LAST])
    return pipeline


def one_session_after(root: Path, first: date) -> float:
    """Time the load of the last session on top of a history that begins at `first`."""
    pipeline = fetched(root)
    load(pipeline, first, DAY_BEFORE)
    warehouse = pipeline.backend.warehouse
    before = warehouse.history(DAILY_PRICES)[0].snapshot_id

    def once() -> float:
        warehouse.rollback(DAILY_PRICES, before)
        return seconds(lambda: load(pipeline, LAST, LAST))

    return statistics.median(once() for _ in range(REPETITIONS))


def whole_recording(root: Path) -> float:
    """Time one load of all 13 years."""
    pipeline = fetched(root)
    return seconds(lambda: load(pipeline, date(2000, 3, 1), LAST))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        results = {
            f"one session after {name}": one_session_after(Path(folder) / name.replace(" ", "_"), first)
            for name, first in HISTORIES.items()
        }
        results["all 3,270 sessions as one load"] = whole_recording(Path(folder) / "whole")
    base = next(iter(results.values()))
    for name, taken in results.items():
        print(f"{name:34} {taken:7.3f} s  {taken / base:6.2f} x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the whole benchmark {peak:5.0f} MB")


if __name__ == "__main__":
    main()
