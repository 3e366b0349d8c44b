"""The sensor that checks ended runs: it opens an incident for a failure and resolves it after a success.

Belongs here: recognising an incident in a run. Does not belong here: notifying people (`alerts`).

A run that was killed and that Dagster retries is no incident. The last retry is one if it fails, and so is a run that
Dagster should have retried and did not.

Each run is checked once; a marker among the backend's objects records it. The cursor alone is not enough: a process may
write the end of a run a little after another process wrote a later one, and a tick can be killed before its end.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import MAX_LINES, Incident
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import contiguous_ranges, format_ranges, sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.text import plural
from stock_assets.coverage.explain import explain_rejections
from stock_assets.ingest.outcomes import REMEDY, count_outcomes
from stock_assets.ingest.symbol_status import symbol_statuses
from stock_assets.loads.audit_files import AuditKind, audit_names
from stock_assets.loads.rejections import Rejection, read_rejection
from stock_assets.orchestration.instance.dagster_internals import WILL_RETRY_TAG
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.killed_runs import RETRY_DECIDED_WITHIN, awaits_retry, is_retried
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.orchestration.root_cause import root_cause, root_message
from stock_assets.orchestration.universe_runs import belongs
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "alerts"
INITIAL_LOOKBACK = timedelta(days=1)
"""Period before now that the first tick reads."""
_OVERLAP = timedelta(minutes=2)
"""The end of a run may be written this long after its timestamp."""
RUN_INCIDENT = "run"
"""Kind of the incidents of failed runs."""
_MARKERS = "alerts/read/"
_MARKERS_KEPT = timedelta(days=3)
"""Longer than any tick reads back."""
_RUNS_AT_ONCE = 50
_SAMPLE_ROWS = 5
_LONGEST_MESSAGE = 1000
"""Characters of an error message in an alert."""
_EVENT_TYPES = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass(frozen=True)
class AlertContext:
    """Channels and links of the alerts.

    Attributes:
        channels: where messages are sent.
        ui_url: address of the Dagster UI, for links.
        names: the names of the universe whose runs are checked.
    """

    channels: Sequence[Channel]
    ui_url: str
    names: Names = PLAIN


def alert_sensor(alerting: AlertContext, *, now: Clock = utc_now) -> dg.SensorDefinition:
    """Return the sensor."""

    @dg.sensor(
        name=alerting.names.name(SENSOR_NAME),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Checks runs that have ended. Sends one alert when a run or a blocking check fails, with the remedy, and "
            "one when the same sessions succeed. Repeated failures send no further alert."
        ),
    )
    @alerting.names.uses_pipeline
    def alerts(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at, backend = now(), pipeline.backend
        notifier = Notifier(backend, alerting.channels)
        after = datetime.fromisoformat(context.cursor) if context.cursor else at - INITIAL_LOOKBACK
        records = context.instance.get_run_records(
            filters=dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE], updated_after=after - _OVERLAP
            ),
            order_by="update_timestamp",
            ascending=True,
        )
        own = [record for record in records if belongs(record.dagster_run, alerting.names)]
        checked = set(backend.objects.keys(_MARKERS)) if own else set()
        waiting = [record for record in own if _marker(record) not in checked]
        unchecked = waiting[:_RUNS_AT_ONCE]
        if context.instance.run_retries_enabled:
            # In the order of their ends, so that no incident is resolved before it is opened.
            unchecked = list(takewhile(lambda record: _is_decided(record, at), unchecked))
        undelivered = notifier.deliver_pending(at)
        for record in unchecked:
            undelivered += _check_run(context.instance, notifier, alerting, pipeline, record.dagster_run, at=at)
            backend.objects.put(_marker(record), b"")
            after = max(after, record.update_timestamp.replace(tzinfo=UTC))
        if unchecked:
            _delete_markers(backend, before=min(at, after) - _MARKERS_KEPT)
        if records and len(unchecked) == len(waiting):
            # Otherwise each tick would read the runs of other universes again.
            after = max(after, records[-1].update_timestamp.replace(tzinfo=UTC))
        failed = [f"not delivered yet: {line}" for line in undelivered]
        for line in failed:
            context.log.warning(line)
        summary = "; ".join([f"{plural(len(unchecked), 'run')} checked", *(failed or ["no undelivered alerts"])])
        return dg.SensorResult(skip_reason=summary, cursor=after.isoformat())

    return alerts


def _is_decided(record: dg.RunRecord, at: datetime) -> bool:
    """Return whether Dagster has decided to retry the run, or the wait has timed out."""
    run = record.dagster_run
    unchanged_for = at - record.update_timestamp.replace(tzinfo=UTC)
    if awaits_retry(run):
        return unchanged_for >= RETRY_DECIDED_WITHIN
    # If the instance retries runs, Dagster tags a failed run right after its end.
    return run.is_success or WILL_RETRY_TAG in run.tags or unchanged_for >= _OVERLAP


def _marker(record: dg.RunRecord) -> str:
    return f"{_MARKERS}{record.dagster_run.run_id}"


def _delete_markers(backend: Backend, *, before: datetime) -> None:
    for entry in backend.objects.entries(_MARKERS):
        if entry.modified_at < before:
            backend.objects.delete(entry.key)


def _check_run(
    instance: dg.DagsterInstance,
    notifier: Notifier,
    alerting: AlertContext,
    pipeline: Pipeline,
    run: dg.DagsterRun,
    *,
    at: datetime,
) -> list[str]:
    """Report or resolve incidents of an ended run; return the messages that could not be delivered."""
    if is_retried(run):
        return []
    # Events of single sessions are not read: a long run has thousands.
    events = [
        entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=_EVENT_TYPES) if entry.dagster_event
    ]
    sessions = tagged_sessions(run.tags)
    undelivered = []
    incident = _incident(alerting, pipeline, run, events)
    if incident is not None:
        undelivered += notifier.notify(incident, at)
    succeeded = {str(event.step_key) for event in events if event.is_step_success}
    if incident is not None and _only_excludes(run, events):
        sessions = [session for session in sessions if session not in incident.sessions]
    elif incident is not None:
        succeeded -= set(incident.steps)
    how = f"run {run.run_id} succeeded: {_link(alerting, run)}"
    # The record of a success names only the first and the last session.
    for part in [sessions_between(*bounds) for bounds in contiguous_ranges(sessions)] or [[]]:
        undelivered += notifier.record_success(part, succeeded, at, how)
    return undelivered


def _incident(
    alerting: AlertContext, pipeline: Pipeline, run: dg.DagsterRun, events: Sequence[dg.DagsterEvent]
) -> Incident | None:
    """Return the incident of an ended run, or None if it has no failure and excluded no session."""
    failures = [event for event in events if event.is_step_failure]
    failed_audits = [event for event in events if _rejects(event)]
    if run.is_success and not failed_audits:
        return None
    checks = [event.asset_check_evaluation_data for event in failed_audits]
    rejected = _rejected(pipeline, checks)
    excludes = bool(rejected) and _only_excludes(run, events)
    sessions = tuple(sorted(rejected)) if excludes else tuple(tagged_sessions(run.tags))
    steps = dict.fromkeys(str(event.step_key) for event in [*failures, *failed_audits])
    error_class, error = _root(failures[0]) if failures else ("", "")
    subject = ", ".join([*steps, *sorted({check.check_name for check in checks}), "" if checks else error_class])
    about = f" for {format_ranges(sessions)}" if sessions else ""
    what = f"{', '.join(steps) or run.job_name} failed{about}"
    if checks:
        what = f"audits excluded {format_ranges(sessions)}" if excludes else f"audits rejected the load{about}"
    return Incident(
        kind=RUN_INCIDENT,
        subject=subject,
        title=f"stock_assets: {what}",
        sessions=sessions,
        steps=tuple(steps) or (alerting.names.name("publish"),),
        facts={
            "job": run.job_name,
            "run": run.run_id,
            "source": pipeline.source.label,
            "sessions": format_ranges(sessions) or "none",
            **({} if excludes else _failure_facts(steps, error)),
            "not published": [line for text in explain_rejections(rejected) for line in text.splitlines()],
            "failed audits": [] if rejected else [line for check in checks for line in _check_lines(check)],
            "symbols missing": _missing(pipeline, sessions),
        },
        link=_link(alerting, run),
    )


def _rejects(event: dg.DagsterEvent) -> bool:
    """Return whether an event is a failed check that rejects the load or excludes sessions."""
    if event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return False
    check = event.asset_check_evaluation_data
    excludes = check.check_name in audit_names(AuditKind.SESSION)
    return not check.passed and (check.severity is dg.AssetCheckSeverity.ERROR or excludes)


def _only_excludes(run: dg.DagsterRun, events: Sequence[dg.DagsterEvent]) -> bool:
    """Return whether a run with failed audits has published its sessions except the excluded ones."""
    severities = [event.asset_check_evaluation_data.severity for event in events if _rejects(event)]
    return run.is_success and dg.AssetCheckSeverity.ERROR not in severities


def _rejected(pipeline: Pipeline, checks: Sequence[dg.AssetCheckEvaluation]) -> dict[date, Rejection]:
    """Return the sessions that the loads of failed checks did not publish, with the records of the reasons."""
    loads = dict.fromkeys(str(check.metadata["load"].value) for check in checks if "load" in check.metadata)
    records = [read_rejection(pipeline.backend, load) for load in loads]
    return {date.fromisoformat(day): record for record in records if record for day in sorted(record.bars)}


def _failure_facts(steps: Iterable[str], error: str) -> dict[str, str]:
    return {
        "failed step": ", ".join(steps) or "none; the run ended before or between its steps",
        "error": error or "the run's process ended without an error message (killed, out of memory, machine off)",
    }


def _root(event: dg.DagsterEvent) -> tuple[str, str]:
    """Return class and message of the root cause of a failed step."""
    error = root_cause(event)
    if error is None:
        return "", ""
    return error.cls_name or "", root_message(event)[:_LONGEST_MESSAGE]


def _check_lines(check: dg.AssetCheckEvaluation) -> Iterator[str]:
    """Format a failed check: name, result, sessions, remedy, and sample rows."""
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
    """Return a line per symbol without a stored bar: reason and remedy."""
    if not sessions:
        return []
    incomplete = [status for status in symbol_statuses(pipeline, sessions) if status.missing]
    lines = [f"{status.symbol}: {status.outcome}, {status.why}. {REMEDY[status.outcome]}" for status in incomplete]
    if len(lines) <= MAX_LINES:
        return lines
    # The incident keeps the first lines only.
    return [count_outcomes(status.outcome for status in incomplete), *lines]


def _link(alerting: AlertContext, run: dg.DagsterRun) -> str:
    return f"{alerting.ui_url.rstrip('/')}/runs/{run.run_id}"
