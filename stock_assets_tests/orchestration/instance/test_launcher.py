"""The launcher checks the process that the run's events name."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from stock_assets.orchestration.instance.dagster_internals import WorkerStatus
from stock_assets.orchestration.instance.launcher import LocalRunLauncher
from stock_assets.orchestration.runs import local_instance
from stock_assets.settings import Settings
from stock_assets_tests.support.dagster_internals import EngineEventData
from stock_assets_tests.support.dagster_runs import leave_run


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with local_instance(Settings(data_dir=tmp_path)) as opened:
        yield opened


@pytest.fixture
def run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return leave_run(instance, dg.DagsterRunStatus.STARTED)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
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
    for _ in range(100):
        if psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    return psutil.Process(process.pid).status()
