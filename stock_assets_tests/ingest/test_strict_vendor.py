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
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import tenacity.wait

from stock_assets.backends.lakehouse import rate_limiter as s3_rate_limiter
from stock_assets.backends.lakehouse.rate_limiter import S3RateLimiter
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Universe
from stock_assets.ingest import counted_calls, requester
from stock_assets.ingest.price_requests import SymbolResult, fetch_prices
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.plans import PLANS
from stock_assets.sources.send_observer import sending
from stock_assets_tests.fakes.clock import SharedClock, SimulatedThreads
from stock_assets_tests.fakes.sliding_windows import SlidingWindows, ideal_seconds
from stock_assets_tests.fakes.slow_bucket import SharedLock, SlowBucket
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
    """Requests take simulated time: usually the latency, sometimes much more, as on a busy network.

    Attributes:
        clock: the simulated time.
        windows: the limits of the vendor.
        latency: usual seconds from sending a request to its response.
        busy: share of requests that arrive 0.25 s late.
        stalled: symbols whose request is sent late, because the machine is busy.
        in_flight: most requests that were in flight at once.
    """

    clock: SharedClock
    windows: SlidingWindows
    latency: float
    busy: float
    stalled: frozenset[str] = frozenset()
    in_flight: int = 0

    def __post_init__(self) -> None:
        """Count the requests in flight."""
        self._lock = threading.Lock()
        self._now_in_flight = 0

    def fetch(self, symbol: str, _sessions: object) -> bytes:
        """Send one request: it arrives after a while, and the response after another one."""
        chance = random.Random(symbol)  # noqa: S311 (latency)
        if symbol in self.stalled:
            # The machine is busy for longer than a window before the request is sent.
            self.clock.sleep(STALL_SECONDS)
        with sending():
            pass
        with self._lock:
            self._now_in_flight += 1
            self.in_flight = max(self.in_flight, self._now_in_flight)
        self.clock.sleep(self.latency / 2 + chance.uniform(0, 0.015) + (0.25 if chance.random() < self.busy else 0))
        with self._lock:
            self.windows.accept(self.clock.now().timestamp())
        self.clock.sleep(self.latency / 2 + chance.uniform(0, 0.015))
        with self._lock:
            self._now_in_flight -= 1
        return csv_body(symbol, TODAY, "compact")


@dataclass
class Simulation:
    """Processes that request prices in simulated time from a vendor with the limits of a plan.

    Attributes:
        write_seconds: usual seconds of a write to the bucket in which calls are counted; None for a local database,
            which takes no simulated time.
        seed: decides how long writes and the pauses after conflicting writes take.
        bucket: the bucket of the last run.
    """

    plan: str
    latency: float
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    busy: float = 0.04
    write_seconds: float | None = None
    seed: int = 3
    bucket: SlowBucket = field(init=False)

    def run(self, universes: list[Universe], stalled: frozenset[str] = frozenset()) -> SimulatedNetwork:
        """Request the symbols of each process; return the network after the last response."""
        clock = SharedClock(EVENING)
        network = SimulatedNetwork(clock, SlidingWindows(vendor_limits(self.plan)), self.latency, self.busy, stalled)
        self.monkeypatch.setattr(AlphaVantageSource, "fetch_prices", network.fetch)
        self.monkeypatch.setattr(requester, "SendingThreads", SimulatedThreads.with_clock(clock))
        self._count_in_bucket(clock)

        def run(universe: Universe) -> list[SymbolResult]:
            backend = local_backend(self.folder / "backend")
            if self.write_seconds is not None:
                backend.__dict__["rate_limiter"] = S3RateLimiter(self.bucket)
            source = AlphaVantageSource(base_url="", read_key=str, now=clock.now, **plan_options(self.plan))  # type: ignore[arg-type]  # fields by name
            return fetch_prices(parts(backend, source, universe), [TODAY], now=clock.now, sleep=clock.sleep)

        outcomes = [
            result.outcome for results in clock.run(*(partial(run, one) for one in universes)) for result in results
        ]
        assert outcomes == [Outcome.OK] * sum(len(universe.symbols) for universe in universes)
        return network

    def _count_in_bucket(self, clock: SharedClock) -> None:
        """Let a thread that waits for S3 or for another thread's use of the rate limiter wait by the clock."""
        chance = random.Random(self.seed)  # noqa: S311 (latency)
        # Of usually 0.03 s, a tenth takes more than 0.05 s.
        self.bucket = SlowBucket(clock, lambda: (self.write_seconds or 0) * 0.885 * chance.lognormvariate(0, 0.494))
        if self.write_seconds is not None:
            locks = SimpleNamespace(Lock=threading.Lock, RLock=lambda: SharedLock(clock))
            self.monkeypatch.setattr(counted_calls, "threading", locks)
            self.monkeypatch.setattr(s3_rate_limiter, "time", SimpleNamespace(sleep=clock.sleep))
            # The pauses after conflicting writes.
            self.monkeypatch.setattr(tenacity.wait, "random", chance)


@pytest.mark.parametrize(
    ("plan", "latency"),
    [*((plan, 0.5) for plan in REQUESTS), ("free", 0.16), ("premium_75", 0.9), ("premium_1200", 0.16)],
)
def test_no_request_of_two_processes_is_refused_in_simulated_time(
    plan: str, latency: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, limits = REQUESTS[plan], vendor_limits(plan)
    network = Simulation(plan, latency, tmp_path, monkeypatch).run(halves(requests))

    assert (len(network.windows.arrivals), network.windows.refused) == (requests, 0)
    # The first request of each process is sent alone, and shows no usual latency yet.
    took = network.windows.arrivals[-1] - network.windows.arrivals[0]
    assert took <= 1.1 * ideal_seconds(limits, requests) + 2 * latency + 0.5


@pytest.mark.parametrize(
    ("plan", "requests", "writes"),
    [
        ("free", 25, 1.2),
        ("premium_75", 90, 1.1),
        ("premium_300", 100, 0.55),
        pytest.param("premium_150", 90, 0.8, marks=pytest.mark.slow),
        pytest.param("premium_600", 200, 0.4, marks=pytest.mark.slow),
        pytest.param("premium_1200", 400, 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_slow_bucket_neither_limits_the_speed_nor_is_written_for_each_late_request(
    plan: str, requests: int, writes: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write to S3 takes longer than the margin of the windows covers."""
    simulation = Simulation(plan, 0.5, tmp_path, monkeypatch, busy=0, write_seconds=0.03)
    network = simulation.run([symbols(requests)])

    assert network.windows.refused == 0
    ideal = ideal_seconds(vendor_limits(plan), requests) + 0.5
    assert (network.clock.now() - EVENING).total_seconds() <= 1.1 * ideal
    assert simulation.bucket.writes <= writes * requests


@pytest.mark.parametrize(
    "plan",
    [
        "free",
        "premium_75",
        "premium_1200",
        *(pytest.param(f"premium_{calls}", marks=pytest.mark.slow) for calls in (150, 300, 600)),
    ],
)
def test_no_request_of_two_processes_that_share_a_slow_bucket_is_refused(
    plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other seeds, 18 of 19,500 requests are refused, and sent again: their calls were postponed too late."""
    requests = REQUESTS[plan]
    network = Simulation(plan, 0.5, tmp_path, monkeypatch, write_seconds=0.03).run(halves(requests))

    assert (len(network.windows.arrivals), network.windows.refused) == (requests, 0)


@pytest.mark.parametrize("plan", ["free", "premium_150", "premium_1200"])
def test_no_request_is_refused_if_some_are_sent_late(
    plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = REQUESTS[plan]
    stalled = frozenset(universe.symbols[3] for universe in halves(requests))
    network = Simulation(plan, 0.16, tmp_path, monkeypatch).run(halves(requests), stalled)

    assert (len(network.windows.arrivals), network.windows.refused) == (requests, 0)


@pytest.mark.parametrize(
    ("plan", "requests"),
    [
        ("free", 25),
        ("premium_75", 90),
        ("premium_300", 100),
        pytest.param("premium_150", 90, marks=pytest.mark.slow),
        pytest.param("premium_600", 200, marks=pytest.mark.slow),
        pytest.param("premium_1200", 400, marks=pytest.mark.slow),
    ],
)
def test_the_plan_limits_the_speed_of_one_process_and_not_the_latency(
    plan: str, requests: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Simulation(plan, 0.5, tmp_path, monkeypatch, busy=0).run([symbols(requests)])

    assert network.windows.refused == 0
    ideal = ideal_seconds(vendor_limits(plan), requests) + 0.5
    assert (network.clock.now() - EVENING).total_seconds() <= 1.1 * ideal
    assert network.in_flight <= (PLANS[plan].per_second or 1)
    assert network.in_flight > 1 or plan == "free"


@pytest.mark.parametrize("write_seconds", [None, 0.03])
def test_every_run_of_a_simulation_is_the_same(
    write_seconds: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        Simulation("premium_1200", 0.16, tmp_path / str(run), monkeypatch, write_seconds=write_seconds)
        .run(halves(30))
        .windows.arrivals
        for run in range(2)
    )
    assert one == other


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
    # The test in simulated time checks the speed; here the machine may be the slowest part.
    print(plan, f"took {took:.2f} s, ideal {ideal:.2f} s")  # noqa: T201 (numbers for reports)
