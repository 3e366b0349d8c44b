"""The file of ledger and budget: whoever comes first makes it, and nobody is turned away meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import Outcome
from stock_assets_tests.support.rate_limiters import START, VENDOR, sqlite_moments

AT_ONCE = 4
FRESH_FILES = 60


def record_and_charge(path: Path, together: Barrier, number: int) -> None:
    together.wait()
    for attempt in range(3):
        SqliteLedger(path).record(Fetch(f"S{number}{attempt}", FetchKind.PRICES, START, Outcome.OK))
        assert SqliteRateLimiter(path).acquire(VENDOR, CallLimits(), lambda: START) is None


def test_all_who_make_the_file_at_the_same_moment_are_served(tmp_path: Path) -> None:
    together = Barrier(AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(FRESH_FILES):
            path = tmp_path / str(number) / "ledger.db"
            for done in [pool.submit(record_and_charge, path, together, thread) for thread in range(AT_ONCE)]:
                done.result()

            assert len({fetch.symbol for fetch in SqliteLedger(path).fetches(FetchKind.PRICES)}) == AT_ONCE * 3
            assert len(sqlite_moments(path)) == AT_ONCE * 3
