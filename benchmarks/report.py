"""Time and size of a report of 20 symbols and 10 years of the made-up market. Run: `python -m benchmarks.report`.

Rendering is the median of some repetitions after a first one, which also translates the statements. Opening is
the time until Chromium, if installed, has drawn every chart without a network.
"""

import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.market import Market, MarketSource
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.publish.publishing import publish
from stock_assets.serve.report.store import write_report
from stock_assets.stage.staging import stage
from stock_assets_tests.support.browser import browser

REPETITIONS = 5
FIRST, LAST = date(2003, 3, 3), date(2013, 3, 1)
MARKET = Market(20, FIRST, LAST)


def synthetic_pipeline(root: Path) -> PipelineParts:
    """Return the parts of a pipeline that has published all bars in an empty folder."""
    limits = Limits(min_coverage=0.5, max_quarantined_share=0.25)
    parts = PipelineParts(LocalBackend(root), MarketSource(MARKET, LAST), MARKET.universe(), limits)
    sessions = MARKET.sessions
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
