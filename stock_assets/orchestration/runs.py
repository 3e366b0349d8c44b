"""Runs of the job, started from the command line in this process, with every event on the Dagster instance.

Belongs here: opening the instance, starting a run, and returning its result. Does not belong here: printing (`cli`),
what a run does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import uuid4

import dagster as dg

from stock_assets.core.calendar import loadable_sessions, next_session, sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import SessionOutOfRange
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.instance.code_location import REPOSITORY_TAGS, add_job_origin
from stock_assets.orchestration.instance.folder import configure_instance
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME, step_configuration
from stock_assets.orchestration.keys import Names, plain_key
from stock_assets.orchestration.partitions import range_tags
from stock_assets.orchestration.root_cause import is_failed_check, root_message
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings


@dataclass(frozen=True)
class RunResult:
    """Result of a run.

    Attributes:
        run_id: Dagster's id.
        success: every step succeeded.
        failures: messages of the failed steps; a failed check is among the findings.
        findings: checks that found bad rows, blocking or not.
        changed_tables: published tables that got a new snapshot.
        interrupted: a signal ended the run.
    """

    run_id: str
    success: bool
    failures: tuple[str, ...]
    findings: tuple[dg.AssetCheckEvaluation, ...]
    changed_tables: tuple[str, ...]
    interrupted: bool = False


@dataclass(frozen=True)
class RunOptions:
    """The configuration of a run.

    Attributes:
        raw: configuration of `raw/daily_prices` (`assets.raw.RawConfig`).
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
    """

    raw: Mapping[str, object] = field(default_factory=dict)
    coverage_symbols: Sequence[str] | None = None


@contextmanager
def local_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the Dagster instance, with this version's configuration unless the file was edited.

    Raises:
        SettingsError: the file was edited, and contradicts the settings or this version.
    """
    folder = settings.instance_dir
    configure_instance(folder, settings.event_log)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def run_sessions(
    settings: Settings,
    pipeline: Pipeline,
    first: date,
    last: date,
    *,
    on_event: Callable[[dg.DagsterEvent], None],
    options: RunOptions | None = None,
) -> RunResult:
    """Run the whole data path for the sessions from `first` to `last`, and wait for the end.

    Args:
        settings: the settings.
        pipeline: the pipeline constructed from them.
        first: first session; it must be a trading session.
        last: last session; it must be a trading session.
        on_event: called with every event of the run, from this thread.
        options: configuration of the run; by default missing bars are requested.

    Raises:
        SessionOutOfRange: the source, or the settings, have no partition for one of the sessions.
    """
    _require_partitions(settings, pipeline, first, last)
    run_id, names = str(uuid4()), Names(settings.universe_name)
    job = build_definitions(settings, pipeline=pipeline).resolve_job_def(names.name(JOB_NAME))
    with local_instance(settings) as instance:
        instance.add_event_listener(run_id, lambda entry: _pass_on(entry, on_event))
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            run_config=_run_config(options or RunOptions(), names),
            tags={**range_tags(first, last), **REPOSITORY_TAGS},
            raise_on_error=False,
        )
        failed = [event for event in result.all_events if event.is_step_failure]
        # A run that failed outside its steps keeps no origin: the daemon would retry it.
        if result.success or failed:
            add_job_origin(instance, run_id)
    return RunResult(
        run_id=run_id,
        success=result.success,
        failures=tuple(root_message(event) for event in failed if not is_failed_check(event)),
        findings=tuple(check for check in result.get_asset_check_evaluations() if not check.passed),
        changed_tables=tuple(sorted({table for event in result.all_events for table in _changed_table(event)})),
        interrupted=any(_is_interruption(event) for event in failed),
    )


def _run_config(options: RunOptions, names: Names) -> dict[str, object]:
    return {
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "ops": step_configuration(options.raw, options.coverage_symbols, names),
    }


def _require_partitions(settings: Settings, pipeline: Pipeline, first: date, last: date) -> None:
    source = pipeline.source
    if first < settings.first_session:
        raise SessionOutOfRange(
            f"{first} is before the first session, {settings.first_session}. To load earlier sessions, set "
            "STOCK_ASSETS_FIRST_SESSION."
        )
    if source.last_session and last > source.last_session:
        outside = next_session(max(source.last_session, first - timedelta(days=1)))
        raise SessionOutOfRange(
            f"{outside} is after {source.last_session}, the last session of the source ({source.label}). "
            "Choose an earlier session, or set STOCK_ASSETS_SOURCE to another source."
        )
    _, problem = loadable_sessions(sessions_between(first, last), utc_now())
    if problem:
        raise SessionOutOfRange(problem)


def _is_interruption(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def _changed_table(event: dg.DagsterEvent) -> list[str]:
    if not event.is_step_materialization:
        return []
    materialization = event.step_materialization_data.materialization
    changed = materialization.metadata.get("changed")
    return (
        [".".join(plain_key(materialization.asset_key).path)] if changed is not None and changed.value is True else []
    )


def _pass_on(entry: dg.EventLogEntry, on_event: Callable[[dg.DagsterEvent], None]) -> None:
    if entry.dagster_event is not None:
        on_event(entry.dagster_event)
