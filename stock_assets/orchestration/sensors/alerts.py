"""The sensor that reads ended runs: one incident for what failed, and its end when the same has succeeded.

Belongs here: recognising an incident in a run. Does not belong here: how it is told (`alerts`).

A run that Dagster repeats, since its worker was killed, is no incident; the last one is, if it fails too, and so is one
that was to be repeated and was not.

Each run is read once, which a mark among the backend's objects remembers: the cursor alone would not do, since a process
may write the end of a run a little after another wrote a later one, and since a tick can be killed half way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import MOST_LINES, Incident
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import format_ranges
from stock_assets.core.clock import Clock, utc_now
from stock_assets.ingest.outcomes import REMEDY
from stock_assets.ingest.symbol_status import symbol_statuses
from stock_assets.orchestration.instance.dagster_internals import WILL_RETRY_TAG
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.orchestration.retries import RETRY_DECIDED_WITHIN, awaits_retry, is_retried
from stock_assets.orchestration.root_cause import root_cause
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "alerts"
LOOKS_BACK = timedelta(days=1)
"""How far back the first look goes."""
_OVERLAP = timedelta(minutes=2)
"""The end of a run may be written this much after the time it bears."""
_MARKS = "alerts/read/"
_MARKS_KEPT = timedelta(days=3)
"""Longer than any look goes back."""
_RUNS_AT_ONCE = 50
_SAMPLE_ROWS = 5
_LONGEST_MESSAGE = 1000
"""Characters of an error's message."""
_TELLING = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class AlertContext:
    """What the sensor needs beside a run.

    Attributes:
        channels: where messages go.
        ui_url: address of the Dagster UI, for links.
    """

    channels: Sequence[Channel]
    ui_url: str


def alert_sensor(watch: AlertContext, *, now: Clock = utc_now) -> dg.SensorDefinition:
    """Make the sensor."""

    @dg.sensor(
        name=SENSOR_NAME,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Reads the runs that have ended. A failed run, or one with a failed blocking check, is told once, with "
            "what to do; so is its end, when the same sessions have succeeded. Repetitions are not told again."
        ),
    )
    def alerts(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at, backend = now(), pipeline.backend
        notifier = Notifier(backend, watch.channels)
        after = datetime.fromisoformat(context.cursor) if context.cursor else at - LOOKS_BACK
        records = context.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE], updated_after=after - _OVERLAP
            ),
            order_by="update_timestamp",
            ascending=True,
        )
        read = set(backend.objects.list(_MARKS)) if records else set()
        fresh = [record for record in records if _mark(record) not in read][:_RUNS_AT_ONCE]
        if context.instance.run_retries_enabled:
            # In the order of their ends, so that nothing is over before it was told.
            fresh = list(takewhile(lambda record: _is_decided(record, at), fresh))
        undelivered = notifier.catch_up(at)
        for record in fresh:
            undelivered += _look_at(context.instance, notifier, watch, pipeline, record.dagster_run, at=at)
            backend.objects.put(_mark(record), b"")
            after = max(after, record.update_timestamp.replace(tzinfo=UTC))
        if fresh:
            _drop_marks(backend, before=min(at, after) - _MARKS_KEPT)
        waiting = [f"not delivered yet: {line}" for line in undelivered]
        for line in waiting:
            context.log.warning(line)
        said = "; ".join([f"{len(fresh)} runs read", *(waiting or ["all told"])])
        return dg.SensorResult(skip_reason=said, cursor=after.isoformat())

    return alerts


def _is_decided(record: dg.RunRecord, at: datetime) -> bool:
    """Tell whether it is clear if a failed run is repeated; after a while it is not."""
    run = record.dagster_run
    unchanged_for = at - record.update_timestamp.replace(tzinfo=UTC)
    if awaits_retry(run):
        return unchanged_for >= RETRY_DECIDED_WITHIN
    # Dagster tags a failed run right after its end, where the instance repeats runs.
    return run.is_success or WILL_RETRY_TAG in run.tags or unchanged_for >= _OVERLAP


def _mark(record: dg.RunRecord) -> str:
    return f"{_MARKS}{record.dagster_run.run_id}"


def _drop_marks(backend: Backend, *, before: datetime) -> None:
    for entry in backend.objects.entries(_MARKS):
        if entry.modified_at < before:
            backend.objects.delete(entry.key)


def _look_at(
    instance: dg.DagsterInstance,
    notifier: Notifier,
    watch: AlertContext,
    pipeline: Pipeline,
    run: dg.DagsterRun,
    *,
    at: datetime,
) -> list[str]:
    """Tell what is wrong with an ended run, and what is over by it; give what could not be delivered."""
    if is_retried(run):
        return []
    # The events of each session are left aside: a long run has thousands.
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=_TELLING) if entry.dagster_event]
    sessions = tagged_sessions(run.tags)
    undelivered = []
    incident = _incident(watch, pipeline, run, events)
    if incident is not None:
        undelivered += notifier.report(incident, at)
    failed = incident.steps if incident is not None else ()
    succeeded = {str(event.step_key) for event in events if event.is_step_success} - set(failed)
    how = f"run {run.run_id} has succeeded: {_link(watch, run)}"
    return undelivered + notifier.succeeded(sessions, succeeded, at, how)


def _incident(
    watch: AlertContext, pipeline: Pipeline, run: dg.DagsterRun, events: Sequence[dg.DagsterEvent]
) -> Incident | None:
    """Recognise what is wrong with an ended run; None if nothing is."""
    sessions = tuple(tagged_sessions(run.tags))
    failures = [event for event in events if event.is_step_failure]
    blocking = [
        event
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not (found := event.asset_check_evaluation_data).passed
        and found.severity is dg.AssetCheckSeverity.ERROR
    ]
    if run.is_success and not blocking:
        return None
    checks = [event.asset_check_evaluation_data for event in blocking]
    steps = dict.fromkeys(str(event.step_key) for event in [*failures, *blocking])
    error_class, error = _root(failures[0]) if failures else ("", "")
    subject = ", ".join([*steps, *sorted({check.check_name for check in checks}), "" if checks else error_class])
    about = f" for {format_ranges(sessions)}" if sessions else ""
    what = f"audits refused the load{about}" if checks else f"{', '.join(steps) or run.job_name} failed{about}"
    return Incident(
        kind="run",
        subject=subject,
        title=f"stock_assets: {what}",
        sessions=sessions,
        steps=tuple(steps) or ("publish",),
        facts={
            "job": run.job_name,
            "run": run.run_id,
            "source": pipeline.source.label,
            "sessions": format_ranges(sessions) or "none in particular",
            "failed step": ", ".join(steps) or "none; the run ended before or between its steps",
            "error": error or "the run's process ended without a word (killed, out of memory, machine off)",
            "failed audits": [line for check in checks for line in _shown(check)],
            "symbols missing": _missing(pipeline, sessions),
        },
        link=_link(watch, run),
    )


def _root(event: dg.DagsterEvent) -> tuple[str, str]:
    """Give class and message of the error that tells why a step failed."""
    error = root_cause(event)
    if error is None:
        return "", ""
    return error.cls_name or "", error.message.strip()[:_LONGEST_MESSAGE]


def _shown(check: dg.AssetCheckEvaluation) -> Iterator[str]:
    """Write a failed check: name, what it found and where, the remedy, and some rows."""
    where, remedy = check.metadata.get("sessions"), check.metadata.get("remedy")
    yield f"{check.check_name}: {check.description}" + (f" ({where.value})" if where else "")
    if remedy:
        yield f"  remedy: {remedy.value}"
    sample = check.metadata.get("sample")
    if isinstance(sample, dg.TableMetadataValue):
        for record in sample.records[:_SAMPLE_ROWS]:
            values = [record.data.get(column.name) for column in sample.schema.columns]
            yield "  " + " ".join(str(value) for value in values if value)


def _missing(pipeline: Pipeline, sessions: Sequence[date]) -> list[str]:
    """Name the symbols without a stored bar, why, and what to do."""
    if not sessions:
        return []
    lacking = [standing for standing in symbol_statuses(pipeline, sessions) if standing.missing]
    lines = [f"{found.symbol}: {found.outcome}, {found.why}. {REMEDY[found.outcome]}" for found in lacking]
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 1], f"{len(lines) - MOST_LINES + 1} more"]


def _link(watch: AlertContext, run: dg.DagsterRun) -> str:
    return f"{watch.ui_url.rstrip('/')}/runs/{run.run_id}"
