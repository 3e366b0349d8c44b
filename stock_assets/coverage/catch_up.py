"""Plan what the catch-up sensor loads next: gaps merged into few runs, within the quota of the day.

Belongs here: which gaps are due and which calls are free. Does not belong here: finding the gaps (`missing_bars`),
starting runs (`orchestration.sensors.catch_up`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from stock_assets.core.calendar import sessions_between
from stock_assets.coverage.missing_bars import Coverage, Gap, catch_up_start
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.parts import PipelineParts

_LISTED = 5


@dataclass(frozen=True)
class CatchUpPlan:
    """The runs to start now, the gaps that wait, and the bars that stay missing.

    Attributes:
        runs: runs to start now.
        next_due: when the next gap becomes due, or None.
        given_up: gaps that are no longer requested automatically.
        rejected: sessions that wait for better bars, with the audits that rejected them.
    """

    runs: tuple[RunSpec, ...]
    next_due: datetime | None
    given_up: tuple[Gap, ...]
    rejected: dict[date, tuple[str, ...]]

    @property
    def unresolved(self) -> str:
        """The bars that stay missing until a user acts, on one line; empty if there are none."""
        parts = [f"{gap.symbol} {gap.session}: {gap.reason}" for gap in self.given_up[:_LISTED]]
        parts += [
            f"{session}: rejected by {', '.join(audits)}" for session, audits in list(self.rejected.items())[:_LISTED]
        ]
        more = len(self.given_up) + len(self.rejected) - len(parts)
        return "; ".join([*parts, *([f"and {more} more"] if more else [])])


def plan_catch_up(found: Coverage, *, calls_available: int | None, reserve_calls: int, at: datetime) -> CatchUpPlan:
    """Merge gaps into as few runs as possible.

    Args:
        found: the gaps.
        calls_available: calls that catch-up may use now; None for no limit.
        reserve_calls: calls that `calls_available` does not contain since they are reserved for the schedule.
        at: now, aware, UTC.
    """
    due = [gap for gap in found.gaps if gap.due is not None and gap.due <= at]
    # Bars that no response has come first, then the oldest gaps: the gaps are in the order of sessions.
    symbols = tuple(dict.fromkeys(gap.symbol for gap in sorted(due, key=lambda gap: gap.quarantined)))[:calls_available]
    to_request = [gap for gap in due if gap.symbol in symbols]
    to_load = [gap for gap in found.gaps if gap.stored]
    sound = {gap.session for gap in [*to_load, *to_request]} - found.rejected.keys()
    doubtful = {gap.session for gap in to_request} & found.rejected.keys()
    # A session that was rejected must not block its neighbours again.
    ranges = [
        *bridged_ranges(sound, apart=found.rejected.keys()),
        *((session, session) for session in sorted(doubtful)),
    ]
    again = _first_ranges(ranges, [gap for gap in to_request if gap.quarantined])
    return CatchUpPlan(
        runs=tuple(
            _run_spec(bounds, [*to_load, *to_request], again[bounds], found, reserve_calls) for bounds in ranges
        ),
        next_due=min((gap.due for gap in found.gaps if gap.due is not None and gap.due > at), default=None),
        given_up=tuple(gap for gap in found.gaps if gap.given_up),
        rejected={session: found.rejected[session].audits for session in sorted(found.rejected)},
    )


def _first_ranges(ranges: Sequence[tuple[date, date]], gaps: Sequence[Gap]) -> dict[tuple[date, date], list[str]]:
    """Return the symbols to request again in each range: one response has the bars of all ranges."""
    found: dict[tuple[date, date], list[str]] = {}
    for first, last in sorted(ranges):
        earlier = {symbol for symbols in found.values() for symbol in symbols}
        found[first, last] = sorted({gap.symbol for gap in gaps if first <= gap.session <= last} - earlier)
    return found


def _run_spec(
    bounds: tuple[date, date], gaps: Sequence[Gap], again: Sequence[str], found: Coverage, reserve_calls: int
) -> RunSpec:
    first, last = bounds
    inside = [gap for gap in gaps if first <= gap.session <= last]
    rejections = sorted({rejection.load_id for rejection in found.rejected.values()})
    state = [f"{gap.symbol} {gap.session} {gap.stored} {gap.due}" for gap in inside]
    symbols = sorted({gap.symbol for gap in inside if not gap.stored})
    return RunSpec(
        first,
        last,
        config={
            "request_symbols": symbols,
            "reserve_calls": reserve_calls,
            **({"request_again": list(again)} if again else {}),
        },
        state=hashlib.sha256("\n".join([*state, *rejections]).encode()).hexdigest()[:16],
    )


def available_calls(parts: PipelineParts, at: datetime) -> tuple[int | None, int]:
    """Return the calls that catch-up may use now, and the calls reserved for scheduled runs of this quota day.

    The first number is None if the source has no daily quota.
    """
    backend, source = parts.backend, parts.source
    limits = source.terms.limits
    if backend.rate_limiter.blocked_until(source.vendor, at):
        return 0, 0
    if limits.per_day is None:
        return None, 0
    scheduled = [
        session
        for session in sessions_between(at.date(), limits.next_reset(at).date())
        if at < catch_up_start(session) <= limits.next_reset(at)
    ]
    reserved = max(
        (sum(parts.universe.covers(symbol, session) for symbol in parts.universe.symbols) for session in scheduled),
        default=0,
    )
    used_calls = backend.rate_limiter.used_calls(source.vendor, limits.day_start(at))
    return max(0, limits.per_day - used_calls - reserved), reserved


@dataclass(frozen=True)
class CatchUpWindow:
    """The sessions that catch-up handles.

    Attributes:
        first: first session with a partition.
        last: last session that the source can ever have, or None if it gets a new one every day.
        count: largest number of sessions, the latest ones.
    """

    first: date
    last: date | None
    count: int

    def sessions(self, at: datetime) -> list[date]:
        """Return the sessions in order, as of a timestamp."""
        today = at.astimezone(UTC).date()
        closed = sessions_between(self.first, min(self.last, today) if self.last else today)
        return [session for session in closed if catch_up_start(session) <= at][-self.count :]
