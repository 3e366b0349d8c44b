"""Time of requests against the shortest time that each plan allows. Run: `python -m benchmarks.requests [PLAN ...]`.

A server on this machine responds after 0.5 s, and counts requests as they arrive, in sliding windows. The ideal time is
that of a client which sends each request as early as the plan allows. Ours includes the first call, the last entry of
the ledger and everything between them. A refused request fails the benchmark.
"""

import json
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from benchmarks.market import COMPACT, Market
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.pipeline import Pipeline
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.plans import PLANS, PlanTerms
from stock_assets_tests.fakes.sliding_windows import SlidingWindows, ideal_seconds

LATENCY = 0.5
SYMBOLS = {
    "free": 25,
    "premium_75": 100,
    "premium_150": 150,
    "premium_300": 300,
    "premium_600": 500,
    "premium_1200": 1000,
}
RESULTS = Path(__file__).with_name("results")


class Vendor(ThreadingHTTPServer):
    """Responds to every request with stored bars; counts the requests above the limits of a plan."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, market: Market, limits: list[tuple[int, float]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses = {symbol: market.response(symbol, compact=True) for symbol in market.symbols}
        self.windows = SlidingWindows(limits)
        self.connections: set[object] = set()
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.windows.accept(time.monotonic())
            self.server.connections.add(self.client_address)
        time.sleep(LATENCY)
        body = self.server.responses[parse_qs(urlsplit(self.path).query)["symbol"][0]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        del format, args


def windows(plan: PlanTerms) -> list[tuple[int, float]]:
    """Return the limits that the vendor enforces: requests and seconds."""
    limits = ((plan.per_second, 1.0), (plan.per_minute, 60.0))
    return [(calls, seconds) for calls, seconds in limits if calls is not None]


def measure(name: str) -> dict[str, object]:
    """Request all symbols with one plan, print a line and return the figures."""
    plan, count = PLANS[name], SYMBOLS[name]
    now = datetime.now(UTC)
    closed = [
        day for day in sessions_between((now - timedelta(days=300)).date(), now.date()) if closing_time(day) < now
    ]
    market = Market(count, closed[-COMPACT], closed[-1])
    server = Vendor(market, windows(plan))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = AlphaVantageSource(
        base_url=f"http://127.0.0.1:{server.server_address[1]}",
        read_key=lambda: "key",
        calls_per_second=plan.per_second,
        calls_per_minute=plan.per_minute,
        calls_per_day=plan.per_day,
        full_history=plan.full_history,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        pipeline = Pipeline(LocalBackend(Path(folder)), source, market.universe(), Limits(0.5, 0.25))
        started, cpu = time.perf_counter(), time.process_time()
        results = fetch_prices(pipeline, [closed[-1]])
        took, used = time.perf_counter() - started, time.process_time() - cpu
    server.shutdown()
    if server.windows.refused or any(result.missing for result in results):
        raise SystemExit(f"{name}: the vendor would refuse {server.windows.refused} of {count} requests")
    ideal = ideal_seconds(windows(plan), count) + LATENCY
    print(
        f"{name:14}{count:>6} symbols {took:>7.1f} s, ideal {ideal:>6.1f} s, ratio {took / ideal:.3f}, "
        f"{used:.1f} s of CPU with the server, {len(server.connections)} connections",
        flush=True,
    )
    return {
        "name": f"requests of {count} symbols, {name}",
        "ours_s": round(took, 2),
        "peer": "ideal",
        "peer_s": ideal,
        "ratio": round(took / ideal, 3),
    }


def main(plans: list[str]) -> None:
    """Measure some plans, or all, and write the results."""
    results = [measure(plan) for plan in plans or PLANS]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "requests.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
