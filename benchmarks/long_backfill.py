"""Time of a backfill with Dagster's event log storage and with ours. Run: `python -m benchmarks.long_backfill`.

Each storage runs the same range once, in a new data folder. The ratio is the benefit of
`stock_assets.orchestration.instance.event_log`.
"""

import tempfile
import time
from datetime import date
from pathlib import Path

from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.instance.folder import INSTANCE_FILE
from stock_assets.orchestration.runs import run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

FIRST, LAST = date(2012, 9, 4), date(2013, 3, 1)
PARTITIONED_ASSETS = 4
DAGSTER_CONFIGURATION = "telemetry: {enabled: false}\n"


def backfill(root: Path, *, dagster_storage: bool) -> float:
    """Return the seconds of one run of the range."""
    settings = Settings(data_dir=root)
    if dagster_storage:
        settings.instance_dir.mkdir(parents=True)
        (settings.instance_dir / INSTANCE_FILE).write_text(DAGSTER_CONFIGURATION, encoding="utf-8")
    started = time.perf_counter()
    result = run_sessions(settings, Pipeline.from_settings(settings), FIRST, LAST, on_event=lambda _: None)
    if not result.success:
        raise SystemExit(f"the run failed: {result.failures}")
    return time.perf_counter() - started


def main() -> None:
    """Print the table. Dagster's own storage runs first: ours turns on batches for the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        durations = {
            "Dagster's event log": backfill(Path(folder) / "dagster", dagster_storage=True),
            "ours": backfill(Path(folder) / "ours", dagster_storage=False),
        }
    keys = len(sessions_between(FIRST, LAST)) * PARTITIONED_ASSETS
    base = next(iter(durations.values()))
    for name, seconds in durations.items():
        print(f"{name:20} {seconds:7.2f} s  {seconds / keys * 1000:6.2f} ms per key and asset  {seconds / base:5.2f} x")


if __name__ == "__main__":
    main()
