"""Dagster's daemon and web server as separate processes, on an instance of the local backend.

Belongs here: starting, killing and waiting. Does not belong here: what a test expects.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import dagster as dg

from stock_assets.backends.interface import Backend
from stock_assets.core.universe import Universe
from stock_assets.orchestration.instance.code_location import write_workspace
from stock_assets.orchestration.jobs.report import JOB_NAME as REPORT_JOB
from stock_assets.orchestration.runs import local_instance
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.gates import FOLDER_VARIABLE
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.steps import local_backend

PROJECT = Path(__file__).parent.parent.parent
DAEMON = "dagster._daemon"
PATIENCE_SECONDS = 180
_POLL_SECONDS = 0.1

T = TypeVar("T")


def wait_for(read: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Poll until the result is true; return it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = read()
        if found:
            return found
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"no {what} in {seconds:.0f} s")


@dataclass
class Station:
    """A folder with the data of one pipeline, and the processes that use it.

    Attributes:
        folder: an empty folder.
        environment: `STOCK_ASSETS_...` variables in addition to the folder.
        module: the definitions; by default the product's own.
        workspace: workspace file that names the code location.
    """

    folder: Path
    environment: dict[str, str]
    module: str = "stock_assets.definitions"
    workspace: Path = field(init=False)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the instance, as `stock-assets ui` does."""
        self.gates.mkdir()
        with self.instance():
            self.workspace = write_workspace(self.settings.instance_dir, self.module)

    @property
    def gates(self) -> Path:
        """Return the folder of the gates."""
        return self.folder / "gates"

    @property
    def settings(self) -> Settings:
        """Return the settings that the processes read from their environment."""
        source = SourceName(self.environment.get("STOCK_ASSETS_SOURCE", SourceName.RECORDED))
        return Settings(source=source, data_dir=self.folder / "data")

    @property
    def backend(self) -> Backend:
        """Return the backend, newly opened."""
        return local_backend(self.settings.root)

    @property
    def alerts(self) -> list[str]:
        """Return the titles in the log file of alerts, in order."""
        return alert_titles(self.settings)

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the instance."""
        with local_instance(self.settings) as instance:
            yield instance

    def runs(self) -> list[dg.DagsterRun]:
        """Return all runs, oldest first, except those that draw the report after them."""
        with self.instance() as instance:
            runs = [record.dagster_run for record in instance.get_run_records(ascending=True)]
        return [run for run in runs if run.job_name != REPORT_JOB]

    def report_runs(self) -> list[dg.DagsterRun]:
        """Return the runs that draw the report, newest first."""
        with self.instance() as instance:
            return list(instance.get_runs(filters=dg.RunsFilter(job_name=REPORT_JOB)))

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program of this environment in its own process group, with its output in a file."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DAGSTER_HOME": str(self.settings.instance_dir),
            "STOCK_ASSETS_DATA_DIR": str(self.folder / "data"),
            FOLDER_VARIABLE: str(self.gates),
            **self.environment,
        }
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=PROJECT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def log(self, program: str) -> str:
        """Return the output of a program so far."""
        return (self.folder / f"{program}.log").read_text(encoding="utf-8")

    def start_daemon(self) -> subprocess.Popen[bytes]:
        """Start the daemon; it starts a code server, which starts the runs."""
        return self.start(DAEMON, "run", "-w", str(self.workspace))

    def close_gate(self, name: str) -> None:
        """Hold every process that reaches a gate."""
        (self.gates / name).touch()

    def open_gate(self, name: str) -> None:
        """Let held processes continue."""
        (self.gates / name).unlink()
        for mark in self.gates.glob(f"{name}.*"):
            mark.unlink()

    def held_at(self, name: str) -> int:
        """Wait until a process is held at a gate; return its id."""
        return int(wait_for(lambda: next(self.gates.glob(f"{name}.*"), None), f"process at {name}").suffix[1:])

    def kill_all(self) -> None:
        """Kill every process of the station at once, as if the machine were switched off."""
        for process in self._processes:
            kill_with_children(process)
        self._processes.clear()


def alert_titles(settings: Settings) -> list[str]:
    """Return the titles in the log file of alerts, in order."""
    file = settings.root / "alerts.log"
    return [block.splitlines()[1] for block in file.read_text().split("\n\n") if block] if file.exists() else []


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    # All processes may have ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def station(folder: Path, environment: dict[str, str], module: str = "stock_assets.definitions") -> Iterator[Station]:
    """Create a station, and kill its processes at the end."""
    made = Station(folder, environment, module)
    try:
        yield made
    finally:
        made.kill_all()


def universe_file(folder: Path, universe: Universe) -> Path:
    """Write a universe file."""
    file = folder / "universe.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in universe.symbols))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def live_environment(folder: Path, server: VendorServer, universe: Universe, **more: str) -> dict[str, str]:
    """Return variables of a live source on the fake vendor server, without limits; `more` are names without prefix."""
    settings = {
        "SOURCE": "alpha_vantage",
        "UNIVERSE": str(universe_file(folder, universe)),
        "ALPHA_VANTAGE_BASE_URL": server.url,
        "ALPHA_VANTAGE_PLAN": "premium_1200",
        **more,
    }
    return {"ALPHAVANTAGE_API_KEY": KEY} | {f"STOCK_ASSETS_{name}": value for name, value in settings.items()}
