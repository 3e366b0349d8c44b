"""Start runs as Dagster's default launcher does, and report whether the process of a run is alive.

Belongs here: checking processes on this machine. Does not belong here: what a run does.

Dagster's default launcher does not report it. A run that is killed together with its code server (the machine is
switched off, a command line is killed) would stay "started" forever: it would hold its pools, and the sensors would
wait for its end. With this launcher, run monitoring detects such a run and marks it as failed, and Dagster retries it
like any killed run.
"""

import psutil
from dagster import DagsterEventType, DagsterRun

from stock_assets.orchestration.instance.dagster_internals import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

_CLOCK_SLACK_SECONDS = 5.0
"""The machine's clock may be adjusted a little between the start of a process and its first event."""


class LocalRunLauncher(DefaultRunLauncher):
    """The default launcher, for runs whose processes are on this machine."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return True; the default launcher returns False."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Check the process that the run's events name. A process younger than the events is a different one."""
        process = self._process_of(run.run_id)
        if process is None:
            # The run has just started; its first event is not written yet.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        pid, named_at = process
        try:
            found = psutil.Process(pid)
            is_alive = found.status() != psutil.STATUS_ZOMBIE and found.create_time() <= named_at + _CLOCK_SLACK_SECONDS
        except psutil.NoSuchProcess:
            is_alive = False
        if is_alive:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {pid} is gone (killed, out of memory, machine off)")

    def _process_of(self, run_id: str) -> tuple[int, float] | None:
        """Return the id of the newest process that worked on the run, and when it wrote its id."""
        for entry in reversed(self._instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)):
            pid = entry.get_dagster_event().engine_event_data.metadata.get("pid")
            if pid is not None:
                return int(str(pid.value)), entry.timestamp
        return None
