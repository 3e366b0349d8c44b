"""What the catch-up sensor loads next: gaps merged into few runs, within the quota of the day.

Belongs here: which gaps are due and which calls are free. Does not belong here: finding the gaps (`gaps`), starting runs
(`orchestration.sensors.catch_up`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from stock_assets.core.calendar import sessions_between
from stock_assets.coverage.gaps import Coverage, Gap, catch_up_starts
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.parts import PipelineParts

_SHOWN = 5


@dataclass(frozen=True)
class CatchUpPlan:
    """What to do now.

    Attributes:
        runs: those worth having now.
        later: when the next gap is worth asking for, or None.
        given_up: gaps nobody will ask for any more.
        rejected: sessions that wait for better bars, with the audits that refused them.
    """

    runs: tuple[RunSpec, ...]
    later: datetime | None
    given_up: tuple[Gap, ...]
    rejected: dict[date, tuple[str, ...]]

    @property
    def lasting(self) -> str:
        """What stays incomplete, on one line; empty if nothing does."""
        parts = [f"{gap.symbol} {gap.session}: {gap.why}" for gap in self.given_up[:_SHOWN]]
        parts += [
            f"{session}: refused by {', '.join(audits)}" for session, audits in list(self.rejected.items())[:_SHOWN]
        ]
        more = len(self.given_up) + len(self.rejected) - len(parts)
        return "; ".join([*parts, *([f"and {more} more"] if more else [])])


def plan_catch_up(found: Coverage, *, room: int | None, reserve_calls: int, at: datetime) -> CatchUpPlan:
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
    sound = {gap.session for gap in [*to_load, *asked]} - found.rejected.keys()
    doubtful = {gap.session for gap in asked} & found.rejected.keys()
    # A session that was refused must not hold back its neighbours once more.
    ranges = [
        *bridged_ranges(sound, apart=found.rejected.keys()),
        *((session, session) for session in sorted(doubtful)),
    ]
    return CatchUpPlan(
        runs=tuple(_run_spec(first, last, [*to_load, *asked], found, reserve_calls) for first, last in ranges),
        later=min((gap.due for gap in found.gaps if gap.due is not None and gap.due > at), default=None),
        given_up=tuple(gap for gap in found.gaps if gap.given_up),
        rejected={session: found.rejected[session].audits for session in sorted(found.rejected)},
    )


def _run_spec(first: date, last: date, gaps: Sequence[Gap], found: Coverage, reserve_calls: int) -> RunSpec:
    inside = [gap for gap in gaps if first <= gap.session <= last]
    refusals = sorted({refusal.load_id for refusal in found.rejected.values()})
    state = [f"{gap.symbol} {gap.session} {gap.stored} {gap.due}" for gap in inside]
    symbols = sorted({gap.symbol for gap in inside if not gap.stored})
    return RunSpec(
        first,
        last,
        config={"request_symbols": symbols, "reserve_calls": reserve_calls},
        state=hashlib.sha256("\n".join([*state, *refusals]).encode()).hexdigest()[:16],
    )


def calls_left(parts: PipelineParts, at: datetime) -> tuple[int | None, int]:
    """Say how many calls may be spent now, and how many belong to the runs scheduled in this quota day."""
    backend, source = parts.backend, parts.source
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
    keep = max((sum(listing.covers(session) for listing in parts.universe.listings) for session in to_come), default=0)
    spent = backend.rate_limiter.used_calls(source.vendor, limits.day_start(at))
    return max(0, limits.per_day - spent - keep), keep


@dataclass(frozen=True)
class CatchUpWindow:
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
