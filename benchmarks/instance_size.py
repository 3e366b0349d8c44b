"""Growth of Dagster's folder by daily runs. Run: `python -m benchmarks.instance_size [SESSIONS] [LOGS] [SYMBOLS]`.

Each session is one run of the daily job on its own day of a simulated clock, as the schedule starts it. The job
`maintenance` runs each Sunday and removes the logs of old runs with the default retention. The folder is measured after
each week: the newest runs have their logs, so that it grows fast until maintenance has runs to remove, and then by what
is kept of each run. To see both in minutes, only the newest `LOGS` runs keep their logs here, instead of 50. `years`
measures the data without Dagster.

At the end the sizes of the newest run's events are printed, by type and step. With 20 symbols and with 10,000 they are
about the same: a test compares the events of two universes.
"""

import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import time_machine

from benchmarks.dagster_share import QUIET
from benchmarks.market import COMPACT, Market
from benchmarks.ours import pipeline
from stock_assets.core.calendar import closing_time, next_session, sessions_between
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.jobs.maintenance import JOB_NAME as MAINTENANCE
from stock_assets.orchestration.partitions import range_tags
from stock_assets.orchestration.runs import local_instance
from stock_assets.settings import Settings, SourceName

FIRST = date(2027, 1, 4)
EVENTS_SHOWN = 10


def run_session(settings: Settings, market: Market, session: date, instance: dg.DagsterInstance) -> None:
    """Run the daily job on the evening of a session; before a weekend, maintenance runs the Sunday after."""
    parts = pipeline(settings.root, market, session, compact=True)
    definitions = build_definitions(settings, pipeline=parts)
    with time_machine.travel(closing_time(session) + timedelta(hours=1), tick=True):
        run(definitions.resolve_job_def(JOB_NAME), instance, range_tags(session, session))
    sunday = session + timedelta(days=7 - session.isoweekday())
    if not sessions_between(session + timedelta(days=1), sunday):
        with time_machine.travel(datetime(sunday.year, sunday.month, sunday.day, 6, tzinfo=UTC), tick=True):
            run(definitions.resolve_job_def(MAINTENANCE), instance, {})


def run(job: dg.JobDefinition, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    """Run a job, whose checks may fail: bars of the market are bad on purpose."""
    result = job.execute_in_process(instance=instance, tags=tags, run_config=QUIET, raise_on_error=False)
    failed = [event for event in result.all_events if event.is_step_failure]
    if failed:
        raise SystemExit(f"a step failed: {failed[0]}")


def print_events(instance: dg.DagsterInstance) -> None:
    """Print the number and the bytes of the newest daily run's events, by type and step, the largest first."""
    [run] = instance.get_runs(dg.RunsFilter(job_name=JOB_NAME), limit=1)
    sizes: dict[tuple[str, str], list[int]] = {}
    for entry in instance.all_logs(run.run_id):
        about = entry.dagster_event_type.value if entry.dagster_event_type else "log line"
        sizes.setdefault((about, entry.step_key or ""), []).append(len(dg.serialize_value(entry)))
    total = sum(map(sum, sizes.values()))
    print(f"events of the newest run: {sum(map(len, sizes.values()))}, {total / 1e6:.2f} MB as text")
    for (about, step), of_type in sorted(sizes.items(), key=lambda item: -sum(item[1]))[:EVENTS_SHOWN]:
        print(f"{sum(of_type):>12,} bytes {len(of_type):>5} {about} {step}")


def megabytes(folder: Path) -> float:
    """Return the size of the files of a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main(count: int = 30, logs: int = 5, symbols: int = 20) -> None:
    """Run all sessions and print the size of the folder after each week."""
    sessions = sessions_between(FIRST, FIRST + timedelta(days=count * 7 // 5 + count // 20 + 10))[:count]
    market = Market(symbols, sessions_between(FIRST - timedelta(days=2 * COMPACT), FIRST)[0], sessions[-1])
    sizes: dict[int, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        patch("stock_assets.orchestration.jobs.maintenance.RUNS_WITH_LOGS", logs),
    ):
        settings = Settings(data_dir=Path(folder), source=SourceName.ALPHA_VANTAGE, first_session=market.first)
        for number, session in enumerate(sessions, 1):
            # Each run is a process, which closes its files at its end.
            with local_instance(settings) as instance:
                run_session(settings, market, session, instance)
            if next_session(session).isocalendar().week != session.isocalendar().week:
                sizes[number] = megabytes(settings.instance_dir)
                print(f"after {number:>4} sessions {sizes[number]:8.2f} MB", flush=True)
        with local_instance(settings) as instance:
            print_events(instance)
    for (earlier, before), (later, after) in pairwise(sizes.items()):
        print(f"sessions {earlier + 1:>4} to {later:>4}: {(after - before) / (later - earlier):6.3f} MB per session")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
