"""The phases of a one-session run with Dagster, next to the same load alone. Run: `python -m benchmarks.dagster_share`.

Each side is a process of its own with an empty data folder: five recorded symbols, one session. Without Dagster it
requests, stages, audits and publishes, then draws the report. Both load once before, in another folder, because a first
load imports libraries and fills the cache of statements. Steps also do what the load alone does not: checks on the
published rows, views, and metadata. Storing events is a part of the phases in which it happens, not a further one.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stock_assets.pipeline import Pipeline

SESSION = date(2013, 3, 1)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Configuration of a run that prints nothing."""
PEER = "the same load without Dagster"
IMPORTS, LIBRARIES, REPORT = "start of Python, imports", "libraries of a first load", "the report"
_WITHOUT = {IMPORTS: IMPORTS, LIBRARIES: LIBRARIES, "all steps": "load", REPORT: REPORT}
"""Phases that exist without Dagster too, with their names there."""


class Timer:
    """Seconds of the phases of a process, in order.

    Args:
        started: the time at which the process was started.
    """

    def __init__(self, started: float) -> None:
        self.seconds: dict[str, float] = {}
        self._last = started

    def phase(self, name: str) -> None:
        """End a phase."""
        now = time.time()
        self.seconds[name] = now - self._last
        self._last = now


def with_dagster(timer: Timer, root: Path) -> dict[str, float]:
    """Run the job and the job of the report as the command line and the daemon do."""
    import dagster as dg  # noqa: PLC0415 (this import is measured)

    from stock_assets.orchestration.build import build_definitions  # noqa: PLC0415 (as above)
    from stock_assets.orchestration.jobs import daily_prices, report  # noqa: PLC0415 (as above)
    from stock_assets.orchestration.partitions import range_tags  # noqa: PLC0415 (as above)
    from stock_assets.orchestration.runs import local_instance  # noqa: PLC0415 (as above)
    from stock_assets.pipeline import Pipeline  # noqa: PLC0415 (as above)
    from stock_assets.settings import Settings  # noqa: PLC0415 (as above)

    timer.phase(IMPORTS)
    settings = Settings(data_dir=root)
    definitions = build_definitions(settings, pipeline=Pipeline.from_settings(settings))
    jobs = [definitions.resolve_job_def(job) for job in (daily_prices.JOB_NAME, report.JOB_NAME)]
    timer.phase("definitions")
    load(root / "before")
    timer.phase(LIBRARIES)
    with local_instance(settings) as instance, timed_events(instance) as events:
        timer.phase("instance")
        begun = time.time()
        tags = range_tags(SESSION, SESSION)
        result = jobs[0].execute_in_process(instance=instance, tags=tags, run_config=QUIET)
        timer.phase("run")
        stored = sum(events)
        jobs[1].execute_in_process(instance=instance, run_config=QUIET)
        timer.phase(REPORT)
        log = instance.all_logs(result.run_id)
    at: dict[Any, list[float]] = {}
    for entry in log:
        if entry.dagster_event is not None:
            at.setdefault(entry.dagster_event.event_type, []).append(entry.timestamp)
    kinds = dg.DagsterEventType
    steps = sum(at[kinds.STEP_SUCCESS]) - sum(at[kinds.STEP_START])
    creation = at[kinds.STEP_START][0] - begun
    run = timer.seconds.pop("run")
    phases = timer.seconds | {
        "creation of the run": creation,
        "all steps": steps,
        "between and after the steps": run - creation - steps,
    }
    return {**phases, f"storage of {len(events)} groups of events of the run": stored}


@contextmanager
def timed_events(instance: Any) -> Iterator[list[float]]:  # noqa: ANN401 (Dagster is imported where it is measured)
    """Yield the seconds of each call that stores events, as they happen."""
    seconds: list[float] = []
    storage = instance.event_log_storage

    def timed(name: str) -> None:
        store = getattr(storage, name)

        def call(*arguments: object) -> None:
            started = time.time()
            store(*arguments)
            seconds.append(time.time() - started)

        setattr(storage, name, call)

    timed("store_event")
    timed("store_event_batch")
    yield seconds


def without_dagster(timer: Timer, root: Path) -> dict[str, float]:
    """Load the session and draw the report."""
    import stock_assets.pipeline  # noqa: F401, PLC0415 (this import is measured)

    timer.phase(IMPORTS)
    load(root / "before")
    timer.phase(LIBRARIES)
    pipeline = load(root)
    timer.phase("load")
    from stock_assets.serve.report.store import write_report  # noqa: PLC0415 (only the report needs it)

    write_report(pipeline, root / "report.html")
    timer.phase(REPORT)
    return timer.seconds


def load(root: Path) -> "Pipeline":
    """Load the session without Dagster."""
    from stock_assets.pipeline import Pipeline  # noqa: PLC0415 (imports large libraries)
    from stock_assets.settings import Settings  # noqa: PLC0415 (as above)

    pipeline = Pipeline.from_settings(Settings(data_dir=root))
    pipeline.fetch([SESSION])
    pipeline.audit(pipeline.stage([SESSION]))
    pipeline.publish([SESSION])
    return pipeline


def run(side: str) -> dict[str, float]:
    """Run one side in a process of its own and return its phases."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.dagster_share", side, folder, str(time.time())]
        # Compiled modules are used, as after any installation.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(command, env=inherited, check=True, stdout=subprocess.PIPE)  # noqa: S603 (fixed arguments)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure() -> list[dict[str, object]]:
    """Return one result per phase, as objects of the results file."""
    alone, ours = run("without"), run("with")
    # What the first load took longer than the second one.
    alone[LIBRARIES] -= alone["load"]
    ours[LIBRARIES] -= alone["load"]
    results: list[dict[str, object]] = []
    for name, seconds in ours.items():
        peer_s = alone[_WITHOUT[name]] if name in _WITHOUT else 0.0
        ratio = round(seconds / peer_s, 2) if peer_s else None
        compared = {"ours_s": round(seconds, 3), "peer": PEER, "peer_s": round(peer_s, 3), "ratio": ratio}
        results.append({"name": f"Dagster, one session: {name}", **compared, "ours_mb": None})
    return results


def print_results(results: list[dict[str, object]]) -> None:
    """Print the phases."""
    for result in results:
        print(f"{result['name']!s:62}{result['ours_s']:>7} s{result['peer_s']:>9} s without Dagster")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print_results(measure())
    else:
        side, folder, started = sys.argv[1:]
        measured = {"with": with_dagster, "without": without_dagster}[side](Timer(float(started)), Path(folder))
        print(json.dumps(measured))
