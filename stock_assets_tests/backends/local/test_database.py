"""The SQLite file of ledger and rate limiter: any process may create it, and no process fails meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import Outcome
from stock_assets_tests.support.rate_limiters import START, VENDOR, sqlite_calls

AT_ONCE = 4
FRESH_FILES = 25


def record_and_acquire(folder: Path, together: Barrier, number: int) -> None:
    together.wait()
    for attempt in range(3):
        SqliteLedger(DataFolder(folder)).record(Fetch(f"S{number}{attempt}", FetchKind.PRICES, START, Outcome.OK))
        assert SqliteRateLimiter(DataFolder(folder)).acquire(VENDOR, CallLimits(), lambda: START) is None


def test_threads_that_create_the_file_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    together = Barrier(AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(FRESH_FILES):
            folder = tmp_path / str(number)
            for done in [pool.submit(record_and_acquire, folder, together, thread) for thread in range(AT_ONCE)]:
                done.result()

            assert (
                len({fetch.symbol for fetch in SqliteLedger(DataFolder(folder)).fetches(FetchKind.PRICES)})
                == AT_ONCE * 3
            )
            assert len(sqlite_calls(folder)) == AT_ONCE * 3
