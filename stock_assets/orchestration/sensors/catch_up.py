"""The sensor that brings in what the schedule left open: late bars, failed symbols, days the machine was off.

Belongs here: turning gaps into few runs within the call budget, and when to try again. Does not belong here: finding
the gaps (`coverage`), the daily rhythm (`daily`).

Everything it goes by is kept elsewhere: the ledger says what was asked, the tables what was published, the notes of
refusals what not to try again, the instance which runs there were. So it needs no cursor, and a restart changes
nothing.
"""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.catch_up import CatchUpWindow, available_calls, plan_catch_up
from stock_assets.coverage.gaps import Gap
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.run_requests import build_run_requests, run_in_progress
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "catch_up"


def catch_up_sensor(
    job: AssetJob,
    window: CatchUpWindow,
    *,
    channels: Sequence[Channel] = (),
    now: Clock = utc_now,
) -> dg.SensorDefinition:
    """Make the sensor; like the schedule, it is on from the start where the source grows every day."""

    @dg.sensor(
        name=SENSOR_NAME,
        job=job,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.STOPPED if window.last else dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Looks at the latest {window.count} sessions, an hour after the schedule: what is stored and unpublished "
            "is loaded, what is missing is asked for again after growing pauses, in few runs, within the day's calls. "
            "What stays missing is named here and asked for no more."
        ),
    )
    def catch_up(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        if _rolled_back(pipeline.backend):
            return dg.SensorResult(
                skip_reason="readers see an earlier version since a rollback; the next load ends that"
            )
        sessions = window.sessions(at)
        calls_available, reserve_calls = available_calls(pipeline, at)
        found = pipeline.coverage(sessions, at=at)
        chosen = plan_catch_up(found, calls_available=calls_available, reserve_calls=reserve_calls, at=at)
        requests, notes = build_run_requests(context.instance, SENSOR_NAME, chosen.runs, at)
        notes += [f"stays incomplete: {chosen.unresolved}"] if chosen.unresolved else []
        notes += [
            f"not delivered yet: {line}"
            for line in notify_missing(Notifier(pipeline.backend, channels), chosen.given_up, at)
        ]
        if requests:
            for note in notes:
                context.log.info(note)
            return dg.SensorResult(run_requests=requests)
        if chosen.next_due:
            notes.append(f"asks again from {chosen.next_due:%Y-%m-%d %H:%M} UTC")
        elif calls_available == 0:
            notes.append("the day's calls are spent or the schedule's")
        return dg.SensorResult(skip_reason="; ".join(notes) or f"the latest {len(sessions)} sessions are complete")

    return catch_up


def notify_missing(notifier: Notifier, given_up: Sequence[Gap], at: datetime) -> list[str]:
    """Keep one incident of what stays missing after it was asked for: told when something is new, and when all is had.

    Sessions no answer reaches were never asked for; they are named in the sensor's own words only.
    """
    missing = {f"{gap.symbol} {gap.session}": gap for gap in given_up if gap.requests}
    before = [incident for incident in notifier.open_incidents() if incident.kind == "coverage"]
    if not missing:
        how = "all of it has come, or is no longer among the latest sessions"
        return [line for incident in before for line in notifier.resolve(incident.reference, at, how)]
    if any(missing.keys() <= set(incident.subject.split(", ")) for incident in before):
        return []
    undelivered = notifier.notify(
        Incident(
            kind="coverage",
            subject=", ".join(sorted(missing)),
            title=f"stock_assets: bars that stay missing and are asked for no more: {len(missing)}",
            sessions=tuple(sorted({gap.session for gap in missing.values()})),
            facts={
                "missing": [f"{name}: {gap.reason}" for name, gap in missing.items()],
                "remedy": "correct the universe file if a symbol or its first or last session is wrong there; bring "
                "the bars as a file, or materialize the sessions to ask once more",
            },
        ),
        at,
    )
    for incident in before:
        notifier.discard(incident.reference)
    return undelivered


def _rolled_back(backend: Backend) -> bool:
    versions = backend.warehouse.history(DAILY_PRICES)
    return bool(versions) and not versions[0].is_current
