"""The cost of durable writes: the load of one session with and without fsync. Run: `python -m benchmarks.durability`.

Requests, stages, audits and publishes the last recorded session after one year, in pairs: as users run it, and with
every fsync of this package and of SQLite switched off. Prints the median of both, and the median ratio of the pairs.
"""

import os
import sqlite3
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

from benchmarks.daily_load import DAY_BEFORE, LAST, PIPELINE, load, seconds
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.ingest.price_requests import RequestRules, fetch_prices
from stock_assets.pipeline import Pipeline

PAIRS = 15
FIRST = date(2012, 3, 1)


class _Volatile(sqlite3.Connection):
    """A connection that never waits for the disk."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # as sqlite3.connect passes them
        self.execute("PRAGMA synchronous = OFF")


@contextmanager
def without_fsync() -> Iterator[None]:
    """Switch fsync off, for SQLite too."""
    connect = sqlite3.connect

    def volatile(*arguments: object, **options: object) -> sqlite3.Connection:
        return connect(*arguments, **(options | {"factory": _Volatile}))  # type: ignore[no-any-return,call-overload]  # all forms of the call

    with (
        patch.object(os, "fsync", lambda _: None),
        patch.object(sqlite3, "connect", volatile),
        patch.object(sqlite3.dbapi2, "connect", volatile),
    ):
        yield


def request_and_load(pipeline: Pipeline) -> None:
    """Request the last session again, and load it."""
    fetch_prices(pipeline, [LAST], rules=RequestRules(again=frozenset(pipeline.universe.symbols)))
    load(pipeline, LAST, LAST)


def main() -> None:
    """Print both times and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = replace(PIPELINE, backend=LocalBackend(Path(folder) / "data"))
        pipeline.fetch([LAST])
        load(pipeline, FIRST, DAY_BEFORE)
        before = {table: pipeline.backend.warehouse.history(table) for table in PUBLISHED_TABLES}

        def once() -> float:
            for table, snapshots in before.items():
                if snapshots:
                    pipeline.backend.warehouse.rollback(table, snapshots[0].snapshot_id)
            return seconds(lambda: request_and_load(pipeline))

        once()
        pairs = []
        for _ in range(PAIRS):
            with without_fsync():
                volatile = once()
            pairs.append((once(), volatile))
    durable, volatile = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"with fsync {durable:.3f} s, without {volatile:.3f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
