"""Starts runs as Dagster does by itself, and also tells whether the process of a run still lives.

Belongs here: what the instance needs to know of processes on this machine. Does not belong here: what a run does.

Dagster's own launcher cannot tell. A run that dies together with its code server (the machine is switched off, a
command line is killed) would be "started" for ever: it would hold its pools, and the sensors would wait for its end.
With this launcher, run monitoring finds such a run, marks it as failed, and it is repeated like any killed one.
"""

import psutil
from dagster import DagsterEventType, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

_CLOCK_SLACK_SECONDS = 5.0
"""The machine's clock may be set a little between the start of a process and its first event."""


class LocalRunLauncher(DefaultRunLauncher):
    """The default launcher, for runs whose processes are on this machine."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes, other than the default launcher."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Look for the process that the run's events name; a process that is younger than they are is another one."""
        process = self._process_of(run.run_id)
        if process is None:
            # Started a moment ago; its first event is still to come.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        pid, named_at = process
        try:
            found = psutil.Process(pid)
            lives = found.status() != psutil.STATUS_ZOMBIE and found.create_time() <= named_at + _CLOCK_SLACK_SECONDS
        except psutil.NoSuchProcess:
            lives = False
        if lives:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {pid} is gone (killed, out of memory, machine off)")

    def _process_of(self, run_id: str) -> tuple[int, float] | None:
        """Give the id of the newest process that worked on the run, and when it named itself."""
        for entry in reversed(self._instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)):
            pid = entry.get_dagster_event().engine_event_data.metadata.get("pid")
            if pid is not None:
                return int(str(pid.value)), entry.timestamp
        return None
