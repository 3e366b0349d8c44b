"""Call budgets of each backend, and what processes of their own do to them; imported by those, so it imports little."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from stock_assets.backends.local.database import connect
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.backends.rate_limiter import RateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import utc_now
from stock_assets_tests.support.athena_backends import athena_backend

VENDOR = "a vendor"
START = datetime.fromisoformat("2024-03-01 22:00+00:00")


@dataclass(frozen=True)
class BudgetCase:
    """One kind of budget the suite runs on.

    Attributes:
        open: opens the budget of the test, as any process may; importable.
        moments: lists when its calls were counted.
        slack: seconds that the races of processes may add to what the pace asks for.
    """

    open: Callable[[], RateLimiter]
    moments: Callable[[], list[datetime]]
    slack: float


def sqlite_moments(path: Path) -> list[datetime]:
    """Read the calls of a SQLite ledger."""
    with connect(path) as connection:
        return sorted(datetime.fromisoformat(row[0]) for row in connection.execute("SELECT called_at FROM calls"))


def s3_budget(endpoint: str, folder: Path) -> RateLimiter:
    """Open the budget of an AWS backend."""
    return athena_backend(endpoint, folder).rate_limiter


def s3_moments(endpoint: str, folder: Path) -> list[datetime]:
    """Read the calls of the one vendor in a bucket."""
    objects = athena_backend(endpoint, folder).objects
    [account] = objects.list("budget/")
    return [datetime.fromisoformat(moment) for moment in json.loads(objects.get(account))["calls"]]


def sqlite_case(folder: Path) -> BudgetCase:
    """Give the budget of a local backend."""
    path = folder / "ledger.db"
    return BudgetCase(partial(SqliteRateLimiter, path), partial(sqlite_moments, path), slack=1)


def s3_case(endpoint: str, folder: Path) -> BudgetCase:
    """Give the budget of a bucket; races for its object take time."""
    return BudgetCase(partial(s3_budget, endpoint, folder), partial(s3_moments, endpoint, folder), slack=20)


def spend_for_real(open_budget: Callable[[], RateLimiter], calls: int) -> None:
    """Make some calls by the machine's clock, in a process of its own."""
    budget, limits, made = open_budget(), CallLimits(per_second=10), 0
    while made < calls:
        refused = budget.acquire(VENDOR, limits, utc_now)
        made += refused is None
        if refused is not None:
            threading.Event().wait(max(0.0, (refused.until - utc_now()).total_seconds()))


def spend_the_day(open_budget: Callable[[], RateLimiter], got: Connection) -> None:
    """Take calls until there are no more today; tell how many there were."""
    budget, limits, taken = open_budget(), CallLimits(per_day=25), 0
    while budget.acquire(VENDOR, limits, lambda: START) is None:
        taken += 1
    got.send(taken)
