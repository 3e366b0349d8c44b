"""An interrupted command prints what was published, and its run has ended in Dagster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.orchestration.runs import local_instance
from stock_assets.settings import Settings
from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.support.gates import FOLDER_VARIABLE
from stock_assets_tests.support.publishers import PATIENCE_SECONDS
from stock_assets_tests.support.steps import local_backend, published_rows

pytestmark = pytest.mark.faults
DAYS = ("2012-03-01", "2012-03-05")
STEPS = ("raw", "staged", "audits", "publish")
ENDED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
CASES = [(step, number) for step in STEPS for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
QUICK = [("staged", signal.SIGHUP), ("audits", signal.SIGTERM), ("publish", signal.SIGINT)]
# A command ignores the signals that are ignored when it starts, such as SIGHUP below nohup.
PROGRAM = (
    "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "from stock_assets_tests.support import gated_definitions; from stock_assets.cli.app import main; main()"
)


def start(data: Path, gates: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"STOCK_ASSETS_DATA_DIR": str(data), FOLDER_VARIABLE: str(gates)}
    command = [sys.executable, "-c", PROGRAM, "backfill", *DAYS]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_at(gates: Path, step: str, process: "subprocess.Popen[str]") -> None:
    """Wait until the process has reached a gate."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not list(gates.glob(f"{step}.*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the process is stuck"
        time.sleep(0.05)


@pytest.mark.parametrize(("step", "number"), CASES if FULL else QUICK)
def test_an_interrupted_command_publishes_nothing_or_everything(
    tmp_path: Path, step: str, number: signal.Signals, tally: Tally
) -> None:
    """The gate of publishing is between the decision and the first commit, which an interruption does not stop."""
    data, gates = tmp_path / "data", tmp_path / "gates"
    gates.mkdir()
    (gates / step).touch()
    process = start(data, gates)
    wait_at(gates, step, process)

    process.send_signal(number)
    (gates / step).unlink()
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)

    postponed = step == "publish"
    said = (
        "Published before: published.daily_prices at " if postponed else "Nothing was published. Run the same command"
    )
    assert f"Interrupted. {said}" in errors
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    settings = Settings(data_dir=data)
    with local_instance(settings) as instance:
        [run] = instance.get_runs()
        assert run.status in ENDED
    assert bool(published_rows(local_backend(settings.root))) is postponed

    again = start(data, gates)
    output, errors = again.communicate(timeout=PATIENCE_SECONDS)

    assert again.returncode == 0, output + errors
    assert len(published_rows(local_backend(settings.root))) == 3 * 4
    tally.count(f"interrupted by {number.name}", "survived")
