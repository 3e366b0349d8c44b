"""Time of a backfill of all recorded sessions by the daemon, from its submission to its end.

Run: `python -m benchmarks.daemon_backfill [SESSIONS]` (three minutes). The web server receives the backfill as from its
dialog; the daemon, the code servers and the run are processes of their own. It prints when the run was created, started
and ended, and the CPU time of each process. Dagster's daemon looks for backfills every 30 seconds, and again 30 seconds
later to end them: that wait is printed as well, and is no work.
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
    before, started = dict(used), time.time()
    params = {
        "assetSelection": [{"path": key.path} for key in ASSETS],
        "partitionNames": [session.isoformat() for session in sessions],
    }
    found = web.request(_BACKFILL, params=params)["launchPartitionBackfill"]["backfillId"]
    with made.instance() as instance:

        def ended() -> dg.RunRecord | None:
            _read_cpu(used)
            records = instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": found}))
            state = instance.get_backfill(found)
            over = state is not None and state.status.value != "REQUESTED" and records
            return records[0] if over and records[0].dagster_run.is_finished else None

        record = wait_for(ended, "end of the backfill", seconds=500)
        over = time.time()
        log = instance.all_logs(record.dagster_run.run_id)
    if not record.dagster_run.is_success:
        raise SystemExit("the run failed")
    queued = next(entry.timestamp for entry in log if entry.dagster_event_type is dg.DagsterEventType.RUN_ENQUEUED)
    states = {
        "run created": record.create_timestamp.timestamp(),
        "its sessions planned, queued": queued,
        "run started": record.start_time,
        "run ended": record.end_time,
        "backfill ended": over,
    }
    for name, at in states.items():
        print(f"{name:32}{(at or 0) - started:7.1f} s after the submission")
    for process, seconds in used.items():
        if (added := seconds - before.get(process, 0.0)) > _PRINTED_SECONDS:
            print(f"{added:7.1f} s of CPU: {process}")


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
        web = WebServer(made)
        made.start_daemon()
        time.sleep(_START_SECONDS)
        backfill(made, web, sessions[:1])
        backfill(made, web, sessions)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
