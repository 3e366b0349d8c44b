"""The launchers check the process that the run's events name, or ask the code server that started it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import grpc
import psutil
import pytest
import yaml

from stock_assets.core.sql import bundled
from stock_assets.orchestration.instance import launcher as launcher_module
from stock_assets.orchestration.instance.dagster_internals import GRPC_INFO_TAG, WorkerStatus
from stock_assets.orchestration.instance.folder import INSTANCE_FILE
from stock_assets.orchestration.instance.launcher import CodeServerRunLauncher, LocalRunLauncher
from stock_assets.orchestration.runs import local_instance
from stock_assets.settings import Settings
from stock_assets_tests.support.dagster_internals import (
    CanCancelExecutionReply,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    DagsterApiServicer,
    EngineEventData,
    add_DagsterApiServicer_to_server,
    deserialize_value,
    execute_run_monitoring_iteration,
    serialize_value,
)
from stock_assets_tests.support.dagster_runs import leave_run
from stock_assets_tests.support.ports import free_port


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with local_instance(Settings(data_dir=tmp_path)) as opened:
        yield opened


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return leave_run(instance, dg.DagsterRunStatus.STARTED)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    """Return the health that run monitoring reads."""
    launcher = instance.run_launcher
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


def name_process(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    """Write the event that a process writes when it starts a run."""
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))


def test_a_run_is_healthy_while_its_process_is_alive(
    instance: dg.DagsterInstance, run: dg.DagsterRun, worker: subprocess.Popen[bytes]
) -> None:
    assert isinstance(instance.run_launcher, LocalRunLauncher)
    assert health(instance, run) is WorkerStatus.RUNNING  # its process is not named yet
    name_process(instance, run, worker.pid)
    instance.report_engine_event("something without a process", run)
    assert health(instance, run) is WorkerStatus.RUNNING
    worker.kill()
    assert wait_for_zombie(worker) == psutil.STATUS_ZOMBIE
    assert health(instance, run) is WorkerStatus.FAILED  # its exit status is not read yet
    worker.wait()
    assert health(instance, run) is WorkerStatus.FAILED


def test_the_newest_process_decides(
    instance: dg.DagsterInstance, run: dg.DagsterRun, worker: subprocess.Popen[bytes]
) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    name_process(instance, run, done.pid)
    assert health(instance, run) is WorkerStatus.FAILED
    name_process(instance, run, worker.pid)
    assert health(instance, run) is WorkerStatus.RUNNING


def test_a_later_process_with_the_same_id_is_a_different_one(
    instance: dg.DagsterInstance, run: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = time.time() + 3600
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: future)
    name_process(instance, run, psutil.Process().pid)
    assert health(instance, run) is WorkerStatus.FAILED


def test_a_run_of_the_command_line_names_its_process_too(instance: dg.DagsterInstance) -> None:
    """Monitoring checks every run of the instance; it must not fail a run of another process."""

    @dg.op
    def check_itself(context: dg.OpExecutionContext) -> None:
        here = context.instance.get_run_by_id(context.run_id)
        assert here is not None
        pid = [entry.get_dagster_event().engine_event_data.metadata.get("pid") for entry in engine_events(context)]
        assert [found.value for found in pid if found] == [str(psutil.Process().pid)]
        assert health(context.instance, here) is WorkerStatus.RUNNING

    @dg.job
    def checking() -> None:
        check_itself()

    assert checking.execute_in_process(instance=instance).success


def engine_events(context: dg.OpExecutionContext) -> list[dg.EventLogEntry]:
    """Return the engine events of the run so far."""
    return list(context.instance.all_logs(context.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT))


def wait_for_zombie(process: subprocess.Popen[bytes]) -> str:
    """Wait until a killed process is a zombie; return its status."""
    for _ in range(2400):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    return psutil.Process(process.pid).status()


@dataclass
class CodeServer(DagsterApiServicer):
    """A code server that answers for the runs it executes, on a real port."""

    port: int
    runs: set[str] = field(default_factory=set)

    def CanCancelExecution(self, request: object, context: object) -> object:  # noqa: N802 (name of the service)
        asked = deserialize_value(request.serialized_can_cancel_execution_request, CanCancelExecutionRequest)  # type: ignore[attr-defined]  # generated by grpc
        reply = CanCancelExecutionResult(can_cancel=asked.run_id in self.runs)
        return CanCancelExecutionReply(serialized_can_cancel_execution_result=serialize_value(reply))

    def start(self) -> grpc.Server:
        """Start to serve."""
        server = grpc.server(ThreadPoolExecutor(2))
        add_DagsterApiServicer_to_server(self, server)  # type: ignore[no-untyped-call]  # generated, without types
        server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        return server


@pytest.fixture
def production(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Open an instance with the launcher and the run monitoring of `infra/aws/dagster.yaml`, on SQLite."""
    configuration = yaml.safe_load(bundled("infra/aws").joinpath(INSTANCE_FILE).read_text(encoding="utf-8"))
    parts = {name: configuration[name] for name in ("run_launcher", "run_monitoring", "telemetry")}
    (tmp_path / INSTANCE_FILE).write_text(yaml.safe_dump(parts), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        assert type(opened.run_launcher) is CodeServerRunLauncher
        yield opened


def monitor(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    """Check the runs once, as the daemon does; return the status of a run afterwards."""

    class Workspace:
        """What the monitoring uses of a workspace when no run is resumed."""

        def __init__(self) -> None:
            self.instance = instance

        def create_request_context(self) -> None:
            return None

    problems = list(execute_run_monitoring_iteration(Workspace(), dg.get_dagster_logger("monitoring")))  # type: ignore[arg-type]  # as its docstring says
    assert problems in ([], [None])
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_that_was_killed_with_its_code_server_fails(production: dg.DagsterInstance) -> None:
    server = CodeServer(free_port())
    address = json.dumps({"host": "127.0.0.1", "port": server.port})
    run = leave_run(production, dg.DagsterRunStatus.STARTED, {GRPC_INFO_TAG: address})
    server.runs.add(run.run_id)
    serving = server.start()
    assert monitor(production, run) is dg.DagsterRunStatus.STARTED

    serving.stop(0).wait()
    assert monitor(production, run) is dg.DagsterRunStatus.STARTED  # it may be restarting

    server.runs.clear()
    serving = server.start()
    assert monitor(production, run) is dg.DagsterRunStatus.FAILURE
    serving.stop(0).wait()
    [ended] = production.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert f"the code server 127.0.0.1:{server.port} does not run it any more" in str(ended.message)


def test_a_run_fails_if_its_code_server_stays_away(
    production: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = json.dumps({"host": "127.0.0.1", "port": free_port()})
    run = leave_run(production, dg.DagsterRunStatus.STARTED, {GRPC_INFO_TAG: address})
    assert monitor(production, run) is dg.DagsterRunStatus.STARTED
    monkeypatch.setattr(launcher_module, "UNREACHABLE_SECONDS", 0.0)
    assert monitor(production, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_of_a_code_server_on_a_socket_is_checked_on_this_machine(
    production: dg.DagsterInstance, worker: subprocess.Popen[bytes]
) -> None:
    address = json.dumps({"host": "localhost", "socket": "/tmp/socket"})  # noqa: S108 (nothing opens it)
    run = leave_run(production, dg.DagsterRunStatus.STARTED, {GRPC_INFO_TAG: address})
    name_process(production, run, worker.pid)
    assert health(production, run) is WorkerStatus.RUNNING
    worker.kill()
    worker.wait()
    assert health(production, run) is WorkerStatus.FAILED


def test_a_run_of_a_command_line_elsewhere_is_left_alone(production: dg.DagsterInstance) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    run = leave_run(production, dg.DagsterRunStatus.STARTED)
    name_process(production, run, done.pid)
    assert health(production, run) is WorkerStatus.RUNNING
