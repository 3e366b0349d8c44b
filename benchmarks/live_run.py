"""CPU time of daily runs with the live source: `python -m benchmarks.live_run`.

Each run is a process of its own, `stock-assets backfill` of one session of five symbols, with Dagster and without the
report. The vendor is a server of the tests on this machine: it publishes one session more before each run, so that each
run requests its five symbols. A month is loaded first, and translated statements are in the cache, as on any day but
the first.
"""

import statistics
import sys
import tempfile
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

from benchmarks.startup import cpu_seconds_once
from stock_assets.core.calendar import sessions_between
from stock_assets.core.vendor_facts import API_KEY_VARIABLE
from stock_assets_tests.fakes.vendor_server import VendorServer, newest_closed_session, running

SYMBOLS = ("NVDA", "AMD", "INTC", "MU", "AVGO")
RUNS = 5
LIMIT_SECONDS = 3.0
_MONTH = timedelta(days=30)


def run_days(folder: Path) -> list[float]:
    """Load a month, then each of the last sessions as a run of its own; return the CPU time of each run."""
    last = newest_closed_session()
    sessions = sessions_between(last - _MONTH, last)
    history, days = sessions[:-RUNS], sessions[-RUNS:]
    server = VendorServer(last_session=history[-1])
    environment = _environment(folder, server)
    with running(server):
        _load(history[0], history[-1], environment)
        return [_load_new(server, day, environment) for day in days]


def _load_new(server: VendorServer, day: date, environment: Mapping[str, str]) -> float:
    server.last_session, before = day, len(server.requested())
    seconds = _load(day, day, environment)
    requested = server.requested()[before:]
    if sorted(requested) != sorted(SYMBOLS):
        sys.exit(f"the run of {day} requested {requested}")
    return seconds


def _load(first: date, last: date, environment: Mapping[str, str]) -> float:
    return cpu_seconds_once(["backfill", f"{first}", f"{last}"], environment)


def _environment(folder: Path, server: VendorServer) -> dict[str, str]:
    universe = folder / "universe.csv"
    lines = ["symbol,name,first_session,last_session", *(f"{symbol},{symbol},2000-01-03," for symbol in SYMBOLS)]
    universe.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {
        "STOCK_ASSETS_DATA_DIR": f"{folder}/data",
        "STOCK_ASSETS_SOURCE": "alpha_vantage",
        "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL": server.url,
        "STOCK_ASSETS_ALPHA_VANTAGE_PLAN": "premium_1200",
        "STOCK_ASSETS_UNIVERSE": str(universe),
        API_KEY_VARIABLE: "any",
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
        "XDG_CACHE_HOME": f"{folder}/cache",
    }


def main() -> None:
    """Print the CPU time of a run; exit with 1 if it exceeds its limit."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = run_days(Path(folder))
    median = statistics.median(seconds)
    print(f"one live session of {len(SYMBOLS)} symbols: {median:.2f} s of CPU, limit {LIMIT_SECONDS} s")
    print(f"each run: {', '.join(f'{value:.2f}' for value in seconds)} s")
    if median > LIMIT_SECONDS:
        sys.exit("the run exceeds its limit")


if __name__ == "__main__":
    main()
