"""The sensor that brings in what the schedule left open: late bars, failed symbols, days the machine was off.

Belongs here: turning gaps into few runs within the call budget, and when to try again. Does not belong here: finding
the gaps (`coverage`), the daily rhythm (`daily`).

Everything it goes by is kept elsewhere: the ledger says what was asked, the tables what was published, the notes of
refusals what not to try again, the instance which runs there were. So it needs no cursor, and a restart changes
nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from stock_assets.alerts.channels import Channel
from stock_assets.alerts.incident import Incident
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.universe import Universe
from stock_assets.coverage.gaps import Coverage, Gap, catch_up_starts, coverage
from stock_assets.loads.inputs import Limits
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.run_requests import RunSpec, bridged_ranges, build_run_requests, run_in_progress
from stock_assets.sources.interface import PriceSource

SENSOR_NAME = "catch_up"
_SHOWN = 5


@dataclass(frozen=True)
class Wanted:
    """One run worth having.

    Attributes:
        first: first session.
        last: last session.
        ask: symbols to ask the vendor for; none if all that lacks is loading.
        state: digest of what it is about: the same as long as nothing has changed.
    """

    first: date
    last: date
    ask: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Plan:
    """What to do now.

    Attributes:
        runs: those worth having now.
        reserve_calls: calls of the quota day that belong to the schedule.
        later: when the next gap is worth asking for, or None.
        given_up: gaps nobody will ask for any more.
        refused: sessions that wait for better bars, with the audits that refused them.
    """

    runs: tuple[Wanted, ...]
    reserve_calls: int
    later: datetime | None
    given_up: tuple[Gap, ...]
    refused: dict[date, tuple[str, ...]]

    @property
    def lasting(self) -> str:
        """What stays incomplete, on one line; empty if nothing does."""
        parts = [f"{gap.symbol} {gap.session}: {gap.why}" for gap in self.given_up[:_SHOWN]]
        parts += [
            f"{session}: refused by {', '.join(audits)}" for session, audits in list(self.refused.items())[:_SHOWN]
        ]
        more = len(self.given_up) + len(self.refused) - len(parts)
        return "; ".join([*parts, *([f"and {more} more"] if more else [])])


def plan(found: Coverage, *, room: int | None, reserve_calls: int, at: datetime) -> Plan:
    """Turn gaps into as few runs as possible.

    Args:
        found: the gaps.
        room: calls that may be spent now; None for any number.
        reserve_calls: calls that are not counted in `room` since they are the schedule's.
        at: now, aware, UTC.
    """
    due = [gap for gap in found.gaps if gap.due is not None and gap.due <= at]
    # Those missing longest first; the gaps come in the order of sessions.
    ask = tuple(dict.fromkeys(gap.symbol for gap in due))[:room]
    asked = [gap for gap in due if gap.symbol in ask]
    to_load = [gap for gap in found.gaps if gap.stored]
    sound = {gap.session for gap in [*to_load, *asked]} - found.refused.keys()
    doubtful = {gap.session for gap in asked} & found.refused.keys()
    # A session that was refused must not hold back its neighbours once more.
    ranges = [*bridged_ranges(sound, apart=found.refused.keys()), *((session, session) for session in sorted(doubtful))]
    return Plan(
        runs=tuple(_wanted(first, last, [*to_load, *asked], found) for first, last in ranges),
        reserve_calls=reserve_calls,
        later=min((gap.due for gap in found.gaps if gap.due is not None and gap.due > at), default=None),
        given_up=tuple(gap for gap in found.gaps if gap.given_up),
        refused={session: found.refused[session].audits for session in sorted(found.refused)},
    )


def _wanted(first: date, last: date, gaps: Sequence[Gap], found: Coverage) -> Wanted:
    inside = [gap for gap in gaps if first <= gap.session <= last]
    refusals = sorted({refusal.load_id for refusal in found.refused.values()})
    state = [f"{gap.symbol} {gap.session} {gap.stored} {gap.due}" for gap in inside]
    return Wanted(
        first,
        last,
        ask=tuple(sorted({gap.symbol for gap in inside if not gap.stored})),
        state=hashlib.sha256("\n".join([*state, *refusals]).encode()).hexdigest()[:16],
    )


def calls_left(backend: Backend, source: PriceSource, universe: Universe, at: datetime) -> tuple[int | None, int]:
    """Say how many calls may be spent now, and how many belong to the runs scheduled in this quota day."""
    limits = source.terms.limits
    if backend.rate_limiter.blocked_until(source.vendor, at):
        return 0, 0
    if limits.per_day is None:
        return None, 0
    to_come = [
        session
        for session in sessions_between(at.date(), limits.next_reset(at).date())
        if at < catch_up_starts(session) <= limits.next_reset(at)
    ]
    keep = max((sum(listing.covers(session) for listing in universe.listings) for session in to_come), default=0)
    spent = backend.rate_limiter.spent(source.vendor, limits.day_start(at))
    return max(0, limits.per_day - spent - keep), keep


@dataclass(frozen=True)
class Window:
    """The sessions that are looked after here.

    Attributes:
        first: first session with a partition.
        last: last one the source can ever have, or None if it grows every day.
        count: how many of the latest at most.
    """

    first: date
    last: date | None
    count: int

    def sessions(self, at: datetime) -> list[date]:
        """List them in order, as of a moment."""
        today = at.astimezone(UTC).date()
        closed = sessions_between(self.first, min(self.last, today) if self.last else today)
        return [session for session in closed if catch_up_starts(session) <= at][-self.count :]


def catch_up_sensor(
    job: AssetJob,
    universe: Universe,
    window: Window,
    *,
    limits: Limits,
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
    def catch_up(context: dg.SensorEvaluationContext, backend: Backend, source: PriceSource) -> dg.SensorResult:
        at = now()
        busy = run_in_progress(context.instance, at)
        if busy:
            return dg.SensorResult(skip_reason=busy)
        if _rolled_back(backend):
            return dg.SensorResult(
                skip_reason="readers see an earlier version since a rollback; the next load ends that"
            )
        sessions = window.sessions(at)
        room, reserve_calls = calls_left(backend, source, universe, at)
        found = coverage(backend, source, universe, sessions, limits=limits, at=at)
        chosen = plan(found, room=room, reserve_calls=reserve_calls, at=at)
        wishes = [_wish(run, chosen.reserve_calls) for run in chosen.runs]
        requests, notes = build_run_requests(context.instance, SENSOR_NAME, wishes, at)
        notes += [f"stays incomplete: {chosen.lasting}"] if chosen.lasting else []
        notes += [
            f"not delivered yet: {line}" for line in notify_missing(Notifier(backend, channels), chosen.given_up, at)
        ]
        if requests:
            for note in notes:
                context.log.info(note)
            return dg.SensorResult(run_requests=requests)
        if chosen.later:
            notes.append(f"asks again from {chosen.later:%Y-%m-%d %H:%M} UTC")
        elif room == 0:
            notes.append("the day's calls are spent or the schedule's")
        return dg.SensorResult(skip_reason="; ".join(notes) or f"the latest {len(sessions)} sessions are complete")

    return catch_up


def _wish(run: Wanted, reserve_calls: int) -> RunSpec:
    return RunSpec(run.first, run.last, {"ask": list(run.ask), "reserve_calls": reserve_calls}, run.state)


def notify_missing(notifier: Notifier, given_up: Sequence[Gap], at: datetime) -> list[str]:
    """Keep one incident of what stays missing after it was asked for: told when something is new, and when all is had.

    Sessions no answer reaches were never asked for; they are named in the sensor's own words only.
    """
    missing = {f"{gap.symbol} {gap.session}": gap for gap in given_up if gap.asked}
    before = [incident for incident in notifier.open_incidents() if incident.kind == "coverage"]
    if not missing:
        how = "all of it has come, or is no longer among the latest sessions"
        return [line for incident in before for line in notifier.resolve(incident.reference, at, how)]
    if any(missing.keys() <= set(incident.subject.split(", ")) for incident in before):
        return []
    undelivered = notifier.report(
        Incident(
            kind="coverage",
            subject=", ".join(sorted(missing)),
            title=f"stock_assets: bars that stay missing and are asked for no more: {len(missing)}",
            sessions=tuple(sorted({gap.session for gap in missing.values()})),
            facts={
                "missing": [f"{name}: {gap.why}" for name, gap in missing.items()],
                "remedy": "correct the universe file if a symbol or its first or last session is wrong there; bring "
                "the bars as a file, or materialize the sessions to ask once more",
            },
        ),
        at,
    )
    for incident in before:
        notifier.forget(incident.reference)
    return undelivered


def _rolled_back(backend: Backend) -> bool:
    versions = backend.warehouse.history(DAILY_PRICES)
    return bool(versions) and not versions[0].is_current
