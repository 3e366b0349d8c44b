"""Rate limiters of each backend, and what other processes do to them. Imports little: every process imports it."""

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from stock_assets.backends.interface import RateLimiter
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import utc_now
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.support.athena_backends import athena_backend

VENDOR = "a vendor"
START = datetime.fromisoformat("2024-03-01 22:00+00:00")


@dataclass(frozen=True)
class RateLimiterCase:
    """A rate limiter that the tests run on.

    Attributes:
        open: opens the rate limiter of the test, in any process; importable.
        recorded_calls: returns the timestamps of its calls.
    """

    open: Callable[[], RateLimiter]
    recorded_calls: Callable[[], list[datetime]]


def open_sqlite(folder: Path) -> RateLimiter:
    """Open the rate limiter of a local backend."""
    return SqliteRateLimiter(DataFolder(folder))


def sqlite_calls(folder: Path) -> list[datetime]:
    """Read the calls of a local backend."""
    with closing(sqlite3.connect(folder / "calls.db")) as connection:
        return sorted(datetime.fromisoformat(row[0]) for row in connection.execute("SELECT called_at FROM calls"))


def open_s3(endpoint: str, folder: Path) -> RateLimiter:
    """Open the rate limiter of a bucket."""
    return athena_backend(endpoint, folder).rate_limiter


def s3_calls(endpoint: str, folder: Path) -> list[datetime]:
    """Read the calls of the only vendor in a bucket."""
    objects = athena_backend(endpoint, folder).objects
    [key] = objects.keys("quota/")
    return [datetime.fromisoformat(timestamp) for timestamp in json.loads(objects.get(key))["calls"]]


def sqlite_case(folder: Path) -> RateLimiterCase:
    """Return the rate limiter of a local backend."""
    return RateLimiterCase(partial(open_sqlite, folder), partial(sqlite_calls, folder))


def s3_case(endpoint: str, folder: Path) -> RateLimiterCase:
    """Return the rate limiter of a bucket."""
    return RateLimiterCase(partial(open_s3, endpoint, folder), partial(s3_calls, endpoint, folder))


def acquire_by_machine_clock(open_limiter: Callable[[], RateLimiter], calls: int) -> None:
    """Acquire some calls by the machine's clock, in another process."""
    limiter, limits, acquired = open_limiter(), CallLimits(per_second=10), 0
    while acquired < calls:
        denied = limiter.acquire(VENDOR, limits, utc_now)
        acquired += denied is None
        if denied is not None:
            threading.Event().wait(max(0.0, (denied.retry_at - utc_now()).total_seconds()))


def use_up_the_day(open_limiter: Callable[[], RateLimiter], results: Connection) -> None:
    """Acquire calls until the day's quota is used up, and send their number."""
    limiter, limits, acquired = open_limiter(), CallLimits(per_day=25), 0
    while limiter.acquire(VENDOR, limits, lambda: START) is None:
        acquired += 1
    results.send(acquired)


def acquire_calls(limiter: RateLimiter, limits: CallLimits, clock: FakeClock, calls: int) -> list[datetime]:
    """Acquire some calls as fast as the limits allow; return their timestamps."""
    made: list[datetime] = []
    while len(made) < calls:
        denied = limiter.acquire(VENDOR, limits, clock.now)
        if denied is None:
            made.append(clock.now())
        else:
            assert not denied.quota_used_up
            clock.sleep((denied.retry_at - clock.now()).total_seconds())
    return made


def most_in_a_window(timestamps: list[datetime], window: timedelta) -> int:
    """Count the calls of the fullest window of that length, wherever it begins."""
    return max(sum(start <= timestamp < start + window for timestamp in timestamps) for start in timestamps)
