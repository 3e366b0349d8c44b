"""What Dagster's event log costs a backfill: its own against ours. Run: `python -m benchmarks.long_backfill`.

The same range is run once on each, on a fresh data folder; the ratio says what `stock_assets.orchestration.instance` is worth.
"""

import tempfile
import time
from datetime import date
from pathlib import Path

from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.instance.folder import INSTANCE_FILE
from stock_assets.orchestration.runs import run_sessions
from stock_assets.settings import Settings

FIRST, LAST = date(2012, 9, 4), date(2013, 3, 1)
PARTITIONED_ASSETS = 4
STOCK_CONFIGURATION = "telemetry: {enabled: false}\n"


def backfill(root: Path, *, stock: bool) -> float:
    """Time one run of the range."""
    settings = Settings(data_dir=root)
    if stock:
        settings.instance_dir.mkdir(parents=True)
        (settings.instance_dir / INSTANCE_FILE).write_text(STOCK_CONFIGURATION, encoding="utf-8")
    started = time.perf_counter()
    result = run_sessions(settings, FIRST, LAST, on_event=lambda _: None)
    if not result.success:
        raise SystemExit(f"the run failed: {result.failures}")
    return time.perf_counter() - started


def main() -> None:
    """Print the table. Dagster's own goes first: ours switches batches on, for the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        taken = {
            "Dagster's event log": backfill(Path(folder) / "stock", stock=True),
            "ours": backfill(Path(folder) / "ours", stock=False),
        }
    keys = len(sessions_between(FIRST, LAST)) * PARTITIONED_ASSETS
    base = next(iter(taken.values()))
    for name, seconds in taken.items():
        print(f"{name:20} {seconds:7.2f} s  {seconds / keys * 1000:6.2f} ms per key and asset  {seconds / base:5.2f} x")


if __name__ == "__main__":
    main()
