"""Start runs as Dagster's default launcher does, and report whether the process of a run is alive.

Belongs here: checking processes on this machine, and asking code servers about their runs. Does not belong here: what a
run does.

Dagster's default launcher does not report it. A run that is killed together with its code server (the machine is
switched off, a container is killed) would stay "started" forever: it would hold its pools, and the sensors would wait
for its end. With these launchers, run monitoring detects such a run and marks it as failed, and Dagster retries it like
any killed run.
"""

import json
import time

import psutil
from dagster import DagsterEventType, DagsterRun

from stock_assets.orchestration.instance.dagster_internals import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    ConfigurableClassData,
    DagsterUserCodeUnreachableError,
    DefaultRunLauncher,
    WorkerStatus,
    deserialize_value,
)

_CLOCK_SLACK_SECONDS = 5.0
"""The machine's clock may be adjusted a little between the start of a process and its first event."""
UNREACHABLE_SECONDS = 300.0
"""Time without a response of its code server after which a run counts as killed; a restart takes less."""
_REPLY_SECONDS = 10


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


class CodeServerRunLauncher(LocalRunLauncher):
    """The default launcher, for runs whose code server is on another machine or in another container.

    The daemon cannot see the processes of such a run. The code server knows the runs that it has started, and runs end
    with it: a server that was restarted does not know the earlier runs. A run of the command line has no code server
    and is not checked, because its process may be on any machine.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._unreachable_since: dict[str, float] = {}

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that started the run; a code server on a socket is on this machine."""
        address = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if "socket" in address:
            return super().check_run_worker_health(run)
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's own
        if client is None:
            # It has no code server, or it has ended since it was listed.
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        server = f"the code server {address.get('host')}:{address.get('port')}"
        try:
            reply = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=_REPLY_SECONDS)
        except DagsterUserCodeUnreachableError:
            since = self._unreachable_since.setdefault(run.run_id, time.monotonic())
            if time.monotonic() - since < UNREACHABLE_SECONDS:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
            why = f"{server} has not responded for {UNREACHABLE_SECONDS:.0f} seconds; check that it is running"
            return CheckRunHealthResult(WorkerStatus.FAILED, why)
        self._unreachable_since.pop(run.run_id, None)
        if deserialize_value(reply, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        why = f"{server} does not run it any more (the server was restarted, or the process was killed)"
        return CheckRunHealthResult(WorkerStatus.FAILED, why)
