"""A vendor that counts requests as they arrive, in sliding windows, refuses none of two processes, on any plan.

The quick test simulates time: nothing depends on the speed of the machine. The slow test sends real requests from two
processes on a machine whose cores are busy.
"""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Universe
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.plans import PLANS
from stock_assets.sources.sending import sending
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.sliding_windows import SlidingWindows, ideal_seconds
from stock_assets_tests.fakes.vendor_server import HEADER, VendorServer, csv_body
from stock_assets_tests.support.live_source import symbols, utc
from stock_assets_tests.support.steps import local_backend, parts

TODAY, EVENING = date(2024, 3, 1), utc("2024-03-01 22:00")
REQUESTS = {"free": 25, "premium_75": 90, "premium_150": 40, "premium_300": 40, "premium_600": 60, "premium_1200": 80}
"""Requests of both processes together; those of premium_75 fill more than a minute."""
STALL_SECONDS = 1.5
PROJECT = Path(__file__).parents[2]


def vendor_limits(plan: str) -> list[tuple[int, float]]:
    """Return the limits that a vendor enforces for a plan: requests and seconds."""
    windows = ((PLANS[plan].per_second, 1.0), (PLANS[plan].per_minute, 60.0))
    return [(calls, seconds) for calls, seconds in windows if calls is not None]


def halves(requests: int) -> list[Universe]:
    """Return the symbols of two processes."""
    listings = symbols(requests).listings
    return [Universe(listings[: requests // 2]), Universe(listings[requests // 2 :])]


def plan_options(plan: str) -> dict[str, object]:
    """Return the fields of a source with a plan."""
    terms = PLANS[plan]
    return {
        "calls_per_second": terms.per_second,
        "calls_per_minute": terms.per_minute,
        "calls_per_day": terms.per_day,
        "full_history": terms.full_history,
    }


@dataclass
class SimulatedNetwork:
    """Requests take simulated time: usually a little, sometimes much more, as on a busy network."""

    clock: FakeClock
    windows: SlidingWindows
    seed: int
    stalled: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Seed the latencies of each process."""
        self._lock = threading.Lock()
        self._chance: dict[int, random.Random] = {}

    def fetch(self, symbol: str, _sessions: object) -> bytes:
        """Send one request: it arrives after a while, and the response after another one."""
        if symbol in self.stalled:
            # The machine is busy for longer than a window before the request is sent.
            self.clock.sleep(STALL_SECONDS)
        with sending():
            pass
        chance = self._chance.setdefault(threading.get_ident(), random.Random(f"{self.seed}{symbol}"))  # noqa: S311 (latency)
        self.clock.sleep(0.08 + chance.uniform(0, 0.015) + (0.25 if chance.random() < 0.04 else 0))
        with self._lock:
            self.windows.accept(self.clock.now().timestamp())
        self.clock.sleep(0.08 + chance.uniform(0, 0.015))
        return csv_body(symbol, TODAY, "compact")


@pytest.mark.parametrize(("plan", "stalls"), [*((plan, 0) for plan in REQUESTS), ("free", 1), ("premium_150", 1)])
def test_no_request_is_refused_in_simulated_time(
    plan: str, stalls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, requests = vendor_limits(plan), REQUESTS[plan]
    clock, windows = FakeClock(EVENING, participants=2), SlidingWindows(limits)
    stalled = frozenset(universe.symbols[3] for universe in halves(requests)) if stalls else frozenset[str]()
    network = SimulatedNetwork(clock, windows, seed=1, stalled=stalled)
    monkeypatch.setattr(AlphaVantageSource, "fetch_prices", network.fetch)
    outcomes: list[Outcome] = []

    def run(universe: Universe) -> None:
        backend = local_backend(tmp_path / "backend")
        source = AlphaVantageSource(base_url="", read_key=str, now=clock.now, **plan_options(plan))  # type: ignore[arg-type]  # fields by name
        try:
            results = fetch_prices(parts(backend, source, universe), [TODAY], now=clock.now, sleep=clock.sleep)
            outcomes.extend(result.outcome for result in results)
        finally:
            clock.leave()

    threads = [threading.Thread(target=run, args=(universe,), daemon=True) for universe in halves(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=300)

    assert outcomes == [Outcome.OK] * requests
    assert (len(windows.arrivals), windows.refused) == (requests, 0)
    # Each of the two processes waits for its response, 0.185 s on average, before it sends the next request.
    ideal = max(ideal_seconds(limits, requests), requests / 2 * 0.185)
    # The first request of each process shows no usual latency yet and may cost half a second more.
    assert windows.arrivals[-1] - windows.arrivals[0] <= 1.1 * ideal + 0.5 + 2 * STALL_SECONDS * stalls


def test_requests_without_the_margin_would_be_refused() -> None:
    """The vendor of these tests refuses requests that are sent exactly a second apart."""
    windows, chance = SlidingWindows([(1, 1.0)]), random.Random(1)  # noqa: S311 (latency)
    for second in range(25):
        windows.accept(second + chance.uniform(0.08, 0.095))
    assert windows.refused > 5


FETCH = """
import sys
from pathlib import Path
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Universe
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets_tests.fakes.vendor_server import newest_closed_session
from stock_assets_tests.ingest.test_strict_vendor import halves, plan_options
from stock_assets_tests.support.steps import local_backend, parts

url, plan, requests, half, folder = sys.argv[1:]
source = AlphaVantageSource(base_url=url, read_key=lambda: "key", **plan_options(plan))
universe = halves(int(requests))[int(half)]
results = fetch_prices(parts(local_backend(Path(folder)), source, universe), [newest_closed_session()])
assert all(result.outcome is Outcome.OK for result in results), results
"""


@contextmanager
def busy_cores(processes: int) -> Iterator[None]:
    """Keep the cores of the machine busy."""
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("plan", REQUESTS)
def test_no_request_of_two_processes_is_refused_on_a_busy_machine(
    plan: str, server: VendorServer, tmp_path: Path
) -> None:
    requests, limits = REQUESTS[plan], vendor_limits(plan)
    server.windows = SlidingWindows(limits)
    for number, symbol in enumerate(symbols(requests).symbols, start=1):
        # Short responses, so that the vendor's process is not busy with making prices.
        bar = f"{server.last_session},{number},{number},{number},{number},1000"
        server.respond(symbol, f"{HEADER}\r\n{bar}\r\n".encode())
    folder = tmp_path / "backend"
    with busy_cores(3):
        running = [
            subprocess.Popen(
                [sys.executable, "-c", FETCH, server.url, plan, str(requests), str(half), str(folder)], cwd=PROJECT
            )
            for half in range(2)
        ]
        assert [process.wait(timeout=600) for process in running] == [0, 0]

    assert (len(server.windows.arrivals), server.windows.refused) == (requests, 0)
    took = server.windows.arrivals[-1] - server.windows.arrivals[0]
    ideal = ideal_seconds(limits, requests)
    print(plan, f"took {took:.2f} s, ideal {ideal:.2f} s")  # noqa: T201 (numbers for reports)
    # The test in simulated time checks the margin exactly; here the machine may be the slowest part.
    assert PLANS[plan].per_second not in {1, 2} or took <= 1.25 * ideal
