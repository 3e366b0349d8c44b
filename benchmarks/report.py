"""Time and size of a report of 20 symbols and 10 years of synthetic bars. Run: `python -m benchmarks.report`.

Rendering is the median of some repetitions after a first one, which builds Vega's script for the process. Opening is
the time until Chromium, if installed, has drawn every chart without a network.
"""

import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.limits import Limits
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.publish.publishing import publish
from stock_assets.serve.report.store import write_report
from stock_assets.sources.interface import PriceSource, Split
from stock_assets.sources.splits_json import parse_splits
from stock_assets.stage.staging import stage
from stock_assets_tests.support.browser import browser

REPETITIONS = 5
FIRST, LAST = date(2003, 3, 3), date(2013, 3, 1)
UNIVERSE = Universe(tuple(Listing(f"SYM{letter}", f"Company {letter}") for letter in "ABCDEFGHIJKLMNOPQRST"))
LABEL = "synthetic bars of a benchmark"


class SyntheticSource(PriceSource):
    """One random walk per symbol, the same in every run, with a 2:1 split in the middle."""

    @property
    def label(self) -> str:
        """Return the label."""
        return LABEL

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:  # noqa: ARG002 (the response has all sessions)
        """Return all bars, newest first."""
        dice = random.Random(symbol)  # noqa: S311 (repeatable prices, no secret)
        close, lines = 100.0, []
        for day in sessions_between(FIRST, LAST):
            open_ = round(close * dice.uniform(0.99, 1.01), 2)
            close = round(max(5.0, open_ * dice.uniform(0.97, 1.0305)), 2)
            high = round(max(open_, close) * dice.uniform(1.0, 1.01), 2)
            low = round(min(open_, close) * dice.uniform(0.99, 1.0), 2)
            lines.append(f"{day},{open_},{high},{low},{close},{dice.randrange(10**6, 10**8)}")
        return "".join(f"{line}\r\n" for line in [",".join(RAW_COLUMNS), *reversed(lines)]).encode()

    def fetch_splits(self, symbol: str) -> bytes:
        """Return one split."""
        split = {"effective_date": "2008-06-02", "split_factor": "2.0000"}
        return json.dumps({"symbol": symbol, "data": [split]}).encode()

    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Parse a response of splits."""
        return parse_splits(body, symbol)

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Accept every response: this source has no errors."""


def synthetic_pipeline(root: Path) -> PipelineParts:
    """Return the parts of a pipeline that has published all bars in an empty folder."""
    parts = PipelineParts(
        LocalBackend(root), SyntheticSource(), UNIVERSE, Limits(min_coverage=0.5, max_quarantined_share=0.25)
    )
    sessions = sessions_between(FIRST, LAST)
    fetch_splits(parts)
    fetch_prices(parts, [LAST])
    stage(parts, sessions)
    publish(parts, sessions)
    return parts


def render_seconds(parts: PipelineParts, file: Path) -> float:
    """Return the seconds to render once."""
    started = time.perf_counter()
    write_report(parts, file)
    return time.perf_counter() - started


def open_seconds(file: Path) -> float:
    """Return the seconds until a new Chromium has drawn all charts."""
    with browser(1280, 900) as page:
        page.open(file)
        return float(page.run("return performance.getEntriesByName('drawn')[0].startTime")) / 1000


def main() -> None:
    """Print the measurements; exit with 1 if one exceeds its limit."""
    with tempfile.TemporaryDirectory() as folder:
        parts, file = synthetic_pipeline(Path(folder) / "backend"), Path(folder) / "report.html"
        below = [within_limit("first rendering of a process", render_seconds(parts, file), "s", limit=5)]
        rendered = statistics.median(render_seconds(parts, file) for _ in range(REPETITIONS))
        below.append(within_limit("each further rendering", rendered, "s", limit=5))
        below.append(within_limit("size", file.stat().st_size / 1e6, "MB", limit=3))
        if shutil.which("chromium") and shutil.which("chromedriver"):
            opened = statistics.median(open_seconds(file) for _ in range(REPETITIONS))
            below.append(within_limit("opening in Chromium", opened, "s", limit=2))
    if not all(below):
        sys.exit("a measurement exceeds its limit")


def within_limit(name: str, measured: float, unit: str, *, limit: float) -> bool:
    """Print a measurement beside its limit; return whether it is below."""
    print(f"{name:28}{measured:6.2f} {unit:2}, limit {limit} {unit}")
    return measured < limit


if __name__ == "__main__":
    main()
