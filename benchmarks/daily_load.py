"""Time of a daily load, by the length of the published history. Run: `python -m benchmarks.daily_load`.

Each line is the median of some repetitions, in seconds and relative to the first line. A repetition stages, audits and
publishes one session: before it, the table is rolled back to the snapshot without that session.
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
    """Return the seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fetched_pipeline(root: Path) -> Pipeline:
    """Return a pipeline in an empty folder, with all responses stored."""
    pipeline = replace(PIPELINE, backend=LocalBackend(root))
    pipeline.fetch([LAST])
    return pipeline


def one_session_after(root: Path, first: date) -> float:
    """Return the seconds to load the last session after a history that begins at `first`."""
    pipeline = fetched_pipeline(root)
    load(pipeline, first, DAY_BEFORE)
    warehouse = pipeline.backend.warehouse
    before = warehouse.history(DAILY_PRICES)[0].snapshot_id

    def once() -> float:
        warehouse.rollback(DAILY_PRICES, before)
        return seconds(lambda: load(pipeline, LAST, LAST))

    return statistics.median(once() for _ in range(REPETITIONS))


def whole_recording(root: Path) -> float:
    """Return the seconds of one load of all 13 years."""
    pipeline = fetched_pipeline(root)
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
    for name, duration in results.items():
        print(f"{name:34} {duration:7.3f} s  {duration / base:6.2f} x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the whole benchmark {peak:5.0f} MB")


if __name__ == "__main__":
    main()
