"""The sensor that loads what the schedule did not: late bars, failed symbols, days on which the machine was off.

Belongs here: requesting runs for gaps, and alerting about bars that stay missing. Does not belong here: finding gaps
and planning runs (`coverage`), the daily schedule (`schedules.weekdays`).

Its state is stored elsewhere: requests in the ledger, published rows in the tables, rejected loads in their records,
runs on the instance. So it needs no cursor, and a restart changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import chain, islice

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import MAX_LINES, Incident
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import plural, shorten_lines
from stock_assets.coverage.catch_up import (
    NO_CALLS_NEEDED,
    CatchUpWindow,
    available_calls,
    explain_waiting,
    plan_catch_up,
)
from stock_assets.coverage.explain import backfill_command
from stock_assets.coverage.gaps import Gap, bars_of, limit_sessions
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.run_requests import build_run_requests, notify_given_up, run_in_progress
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "catch_up"
MOST_NAMED = 500
"""Missing bars up to which an incident has the name of each."""


def catch_up_sensor(
    job: AssetJob,
    window: CatchUpWindow,
    names: Names = PLAIN,
    *,
    channels: Sequence[Channel] = (),
    now: Clock = utc_now,
) -> dg.SensorDefinition:
    """Return the sensor. Like the schedule, it is on by default for a source that grows every day."""

    @dg.sensor(
        name=names.name(SENSOR_NAME),
        job=job,
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.STOPPED if window.last else dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Checks the latest {plural(window.count, 'session')}, from an hour after the schedule. Loads stored "
            "bars that are not published, and requests missing bars again with growing delays, in few runs, within the "
            "day's quota. Bars that stay missing are named here and not requested any more."
        ),
    )
    @names.uses_pipeline
    def catch_up(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at, names)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        if pipeline.backend.warehouse.is_rolled_back(DAILY_PRICES):
            return dg.SensorResult(
                skip_reason="published.daily_prices was rolled back; catch-up continues after the next load"
            )
        sessions = window.sessions(at)
        gaps = pipeline.coverage(sessions, at=at)
        calls = available_calls(pipeline, at) if gaps.is_due(at) else NO_CALLS_NEEDED
        plan = plan_catch_up(gaps, calls_available=calls.available, reserve_calls=calls.reserved, at=at)
        found = build_run_requests(context.instance, SENSOR_NAME, plan.runs, at, names)
        requests, notes = found.requests, found.notes
        waiting = explain_waiting(plan, calls, pipeline.source.terms.limits, at)
        notes += [waiting] if waiting else []
        unresolved = plan.unresolved
        notes += [f"stays incomplete: {unresolved}"] if unresolved else []
        notifier = Notifier(pipeline.backend, channels)
        opened = notifier.open_incidents()
        undelivered = notify_missing(notifier, plan.given_up, at, names, opened=opened)
        undelivered += notify_given_up(notifier, names.name(SENSOR_NAME), found.given_up, at, opened=opened)
        notes += [f"not delivered yet: {line}" for line in undelivered]
        if requests:
            for note in notes:
                context.log.info(note)
            return dg.SensorResult(run_requests=requests)
        if plan.next_due:
            notes.append(f"next request after {plan.next_due:%Y-%m-%d %H:%M} UTC")
        return dg.SensorResult(
            skip_reason="; ".join(notes) or f"the latest {plural(len(sessions), 'session is', 'sessions are')} complete"
        )

    return catch_up


def notify_missing(
    notifier: Notifier, given_up: Sequence[Gap], at: datetime, names: Names = PLAIN, *, opened: Sequence[Incident]
) -> list[str]:
    """Keep one incident open for bars that stay missing: notify when a bar is added, and when none is missing.

    Sessions before the available history are never requested; only the sensor's tick names them.
    """
    gaps = [gap for gap in given_up if gap.requests]
    counts = Counter(chain.from_iterable(gap.sessions for gap in gaps))
    open_incidents = [incident for incident in opened if incident.kind == "coverage"]
    if not counts:
        how = "every bar is stored, or no longer among the latest sessions"
        return [line for incident in open_incidents for line in notifier.resolve(incident.reference, at, how)]
    if any(_are_reported(gaps, counts, incident) for incident in open_incidents):
        return []
    sessions, count = sorted(counts), counts.total()
    undelivered = notifier.notify(
        Incident(
            kind="coverage",
            subject=_subject(gaps, counts),
            title=f"stock_assets: {plural(count, 'bar stays', 'bars stay')} missing and no longer requested",
            sessions=tuple(sessions),
            facts={
                "missing": _newest_lines(gaps, counts),
                "remedy": "correct the universe file if a symbol or its first or last session is wrong; request the "
                f"bars again with {backfill_command(sessions, names.universe)}, or add them as a landing file",
            },
        ),
        at,
    )
    for incident in open_incidents:
        notifier.discard(incident.reference)
    return undelivered


def _newest_lines(gaps: Sequence[Gap], counts: Counter[date]) -> list[str]:
    """Return lines about the newest bars, as many as a message has room for: earlier bars were reported before."""
    # One session at a time: a million bars would need a gigabyte.
    newest_first = (bars_of(limit_sessions(gaps, [session])) for session in sorted(counts, reverse=True))
    lines = list(map(str, islice(chain.from_iterable(newest_first), MAX_LINES)))
    total = counts.total()
    return lines if total <= MAX_LINES else shorten_lines(lines, MAX_LINES - 1, total=total)


def _subject(gaps: Sequence[Gap], counts: Counter[date]) -> str:
    """Return the missing bars; if they are many, their number by session, so that an incident has a constant size."""
    if counts.total() <= MOST_NAMED:
        return ", ".join(sorted(_names(gaps)))
    return ", ".join(f"{session} x {counts[session]}" for session in sorted(counts))


def _are_reported(gaps: Sequence[Gap], counts: Counter[date], incident: Incident) -> bool:
    """Return whether an incident has reported all missing bars; of many, whether no session has more than it has."""
    reported = incident.subject.split(", ")
    before = {session: int(count) for session, times, count in (one.partition(" x ") for one in reported) if times}
    if before:
        return all(count <= before.get(str(session), 0) for session, count in counts.items())
    return counts.total() <= len(reported) and set(_names(gaps)).issubset(reported)


def _names(gaps: Sequence[Gap]) -> Iterator[str]:
    return (f"{gap.symbol} {session}" for gap in gaps for session in gap.sessions)
