"""Time of a backfill of all recorded sessions by `stock-assets ui`, from its submission to the end of its run.

Run: `python -m benchmarks.daemon_backfill [SESSIONS]` (three minutes). The web server receives the backfill as from its
dialog; `stock-assets ui` started it, the daemon and the code server, and the code server starts the run.

The daemon looks for backfills every 5 seconds (`infra/local/dagster.yaml`). A submission therefore waits 0 to 5 s
before anything happens, and the rest does not depend on its moment. The benchmark measures one submission, and computes
the best, median and worst moment from it. The daemon marks the backfill as ended when it looks the next time; that is
no part of the run.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import dagster as dg
import psutil

from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.orchestration.keys import RAW_PRICES, asset_key
from stock_assets_tests.fakes.http_server import WebServer
from stock_assets_tests.support.real_daemon import Station, station, wait_for

FIRST, LAST = date(2000, 3, 1), date(2013, 3, 1)
ASSETS = [RAW_PRICES, *map(asset_key, [STAGED_PRICES, *PUBLISHED_TABLES])]
POLL_SECONDS = 5
"""`backfill_interval_seconds` of the local instance."""
TARGET_SECONDS = 30
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { ... on LaunchBackfillSuccess { backfillId } }
}
"""
_START_SECONDS = 20
_PRINTED_SECONDS = 0.1


def backfill(made: Station, web: WebServer, sessions: Sequence[date]) -> None:
    """Run one backfill and print its times."""
    print(f"{len(sessions)} sessions")
    used: dict[str, float] = {}
    _read_cpu(used)
    before, submitted = dict(used), time.time()
    params = {
        "assetSelection": [{"path": key.path} for key in ASSETS],
        "partitionNames": [session.isoformat() for session in sessions],
    }
    found = web.request(_BACKFILL, params=params)["launchPartitionBackfill"]["backfillId"]
    with made.instance() as instance:

        def ended() -> dg.RunRecord | None:
            _read_cpu(used)
            records = instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": found}))
            return records[0] if records and records[0].dagster_run.is_finished else None

        record = wait_for(ended, "end of the run", seconds=500)
        log = instance.all_logs(record.dagster_run.run_id)
    if not record.dagster_run.is_success:
        raise SystemExit("the run failed")
    created = record.create_timestamp.timestamp()
    queued = next(entry.timestamp for entry in log if entry.dagster_event_type is dg.DagsterEventType.RUN_ENQUEUED)
    states = {
        "run created": created,
        "its sessions planned, queued": queued,
        "run started": record.start_time,
        "run ended": record.end_time,
    }
    for name, at in states.items():
        print(f"{name:32}{(at or 0) - submitted:7.1f} s after the submission")
    _print_moments((record.end_time or 0) - created)
    for process, seconds in used.items():
        if (added := seconds - before.get(process, 0.0)) > _PRINTED_SECONDS:
            print(f"{added:7.1f} s of CPU: {process}")


def _print_moments(work: float) -> None:
    """Print what other moments of the submission would have taken; the wait is equally likely between 0 and 5 s."""
    print(f"{work:7.1f} s from the daemon's look to the end of the run; submissions at other moments (computed):")
    for name, wait in {"best": 0, "median": POLL_SECONDS / 2, "worst": POLL_SECONDS}.items():
        print(f"{wait + work:7.1f} s {name}")
    in_time = min(max(TARGET_SECONDS - work, 0) / POLL_SECONDS, 1)
    print(f"{in_time:7.0%} of the moments within {TARGET_SECONDS} s")


def _read_cpu(used: dict[str, float]) -> None:
    """Read the CPU seconds of the processes that this program started; ended ones keep their last value."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words = [word for word in process.cmdline()[1:4] if len(word) < 50]  # noqa: PLR2004 (without programs)
            times = process.cpu_times()
            used[f"{process.pid} {' '.join(words)}"] = times.user + times.system


def main(count: int = 5_000) -> None:
    """Backfill one session, then all."""
    sessions = sessions_between(FIRST, LAST)[-count:]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, station(Path(folder), {}) as made:
        web = WebServer(made, "stock_assets", "ui", "--page-port", "0")
        time.sleep(_START_SECONDS)
        backfill(made, web, sessions[:1])
        # The sensor `report` starts a run after it, which would use a core of the second backfill.
        wait_for(lambda: [run for run in made.report_runs() if run.is_finished], "end of the report")
        backfill(made, web, sessions)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
