"""Plan what the catch-up sensor loads next: gaps merged into few runs, within the quota of the day.

Belongs here: which gaps are due and which calls are free. Does not belong here: finding the gaps (`missing_bars`),
starting runs (`orchestration.sensors.catch_up`).
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import NamedTuple

from stock_assets.core.calendar import format_ranges, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_list
from stock_assets.coverage.gaps import (
    SCHEDULED_AT,
    Coverage,
    Gap,
    GapsBySession,
    bars_of,
    by_session,
    catch_up_start,
    count_bars,
    in_range,
    limit_sessions,
    sessions_of,
)
from stock_assets.coverage.run_specs import RunSpec, bridged_ranges
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import RequestRules, symbols_to_request

_LISTED = 5


@dataclass(frozen=True)
class CatchUpPlan:
    """The runs to start now, the gaps that wait, and the bars that stay missing.

    Attributes:
        runs: runs to start now.
        next_due: when the next bar becomes due, or None.
        given_up: gaps that are no longer requested automatically.
        rejected: sessions that wait for better bars, with the audits that rejected them.
        waiting: gaps that are due and wait for calls, without bars that are not due.
        incomplete: sessions with stored bars that are not loaded, since too few symbols have one.
    """

    runs: tuple[RunSpec, ...]
    next_due: datetime | None
    given_up: tuple[Gap, ...]
    rejected: dict[date, tuple[str, ...]]
    waiting: tuple[Gap, ...] = ()
    incomplete: tuple[date, ...] = ()

    @property
    def unresolved(self) -> str:
        """The bars that stay missing until a user acts, on one line; empty if there are none."""
        parts = list(map(str, islice(bars_of(self.given_up), _LISTED)))
        parts += [
            f"{session}: rejected by {', '.join(audits)}" for session, audits in list(self.rejected.items())[:_LISTED]
        ]
        more = count_bars(self.given_up) + len(self.rejected) - len(parts)
        return "; ".join([*parts, *([f"and {more} more"] if more else [])])


class AvailableCalls(NamedTuple):
    """The calls of the quota day that are left.

    Attributes:
        available: calls that catch-up may use now; None if the source has no daily quota.
        reserved: calls of this quota day that the next scheduled run needs.
        blocked_until: end of the block after the vendor reported that no calls are left, or None.
    """

    available: int | None
    reserved: int
    blocked_until: datetime | None = None


NO_CALLS_NEEDED = AvailableCalls(0, 0)
"""For a plan without a due gap: reading the quota is a request to S3."""


def plan_catch_up(found: Coverage, *, calls_available: int | None, reserve_calls: int, at: datetime) -> CatchUpPlan:
    """Merge gaps into as few runs as possible.

    Args:
        found: the gaps.
        calls_available: calls that catch-up may use now; None for no limit.
        reserve_calls: calls that `calls_available` does not contain since they are reserved for the schedule.
        at: now, aware, UTC.
    """
    due = [gap._replace(sessions=days) for gap in found.gaps if (days := gap.due_sessions(at))]
    symbols = _choose_symbols(found, due, calls_available)
    incomplete = _below_minimum_coverage(found, symbols)
    passing = sessions_of(found.gaps) - incomplete
    to_request = limit_sessions((gap for gap in due if gap.symbol in symbols), passing)
    stored = [gap for gap in found.gaps if gap.stored]
    to_load = limit_sessions(stored, passing)
    requested = sessions_of(to_request)
    sound = (sessions_of(to_load) | requested) - found.rejected.keys()
    # A session that was rejected, or would be, must not block its neighbours.
    ranges = [
        *bridged_ranges(sound, apart=found.rejected.keys() | incomplete),
        *((session, session) for session in sorted(requested & found.rejected.keys())),
    ]
    again = first_ranges(ranges, [gap for gap in to_request if gap.quarantined])
    inside = by_session(to_load), by_session(to_request)
    return CatchUpPlan(
        runs=tuple(_run_spec(bounds, *inside, again[bounds], found, reserve_calls) for bounds in ranges),
        next_due=min(filter(None, (gap.next_due(at) for gap in found.gaps)), default=None),
        given_up=tuple(gap for gap in found.gaps if gap.given_up),
        rejected={session: found.rejected[session].audits for session in sorted(found.rejected)},
        waiting=tuple(gap for gap in due if gap.symbol not in symbols),
        incomplete=tuple(sorted(sessions_of(stored) & incomplete)),
    )


def _choose_symbols(found: Coverage, due: Sequence[Gap], calls: int | None) -> frozenset[str]:
    """Return the symbols to request with the available calls: no call is used for a session that cannot be published.

    Bars that no response has come first, then the oldest sessions.
    """
    if calls is None:
        return frozenset(gap.symbol for gap in due)
    missing = by_session(gap for gap in found.gaps if gap.missing)
    chosen: dict[str, None] = {}
    for quarantined in (False, True):
        for session, gaps in by_session(gap for gap in due if gap.quarantined is quarantined).items():
            if len(chosen) >= calls:
                break
            more = (gap.symbol for gap in gaps if gap.symbol not in chosen)
            wanted = dict.fromkeys(islice(more, calls - len(chosen)))
            remaining = sum(gap.symbol not in chosen and gap.symbol not in wanted for gap in missing.get(session, ()))
            if quarantined or remaining <= found.may_miss.get(session, remaining):
                chosen.update(wanted)
    return frozenset(chosen)


def _below_minimum_coverage(found: Coverage, requested: Collection[str]) -> set[date]:
    """Return the sessions in which too few symbols have a bar, even if every requested bar arrives."""
    # A quarantined bar counts for the coverage of a session.
    missing = (gap.sessions for gap in found.gaps if gap.missing and gap.symbol not in requested)
    counts = Counter(chain.from_iterable(missing))
    return {session for session, count in counts.items() if count > found.may_miss.get(session, count)}


def first_ranges(ranges: Sequence[tuple[date, date]], gaps: Iterable[Gap]) -> dict[tuple[date, date], list[str]]:
    """Return the symbols to request in each range, each in its first one: a response has the bars of all ranges.

    Args:
        ranges: first and last session of each.
        gaps: the gaps.
    """
    found: dict[tuple[date, date], list[str]] = {}
    earlier: set[str] = set()
    inside = by_session(gaps)
    for bounds in sorted(ranges):
        symbols = _symbols(inside, bounds) - earlier
        found[bounds] = sorted(symbols)
        earlier |= symbols
    return found


def _symbols(gaps: GapsBySession, bounds: tuple[date, date]) -> set[str]:
    return {gap.symbol for found in in_range(gaps, bounds).values() for gap in found}


def _run_spec(
    bounds: tuple[date, date],
    to_load: GapsBySession,
    to_request: GapsBySession,
    again: Sequence[str],
    found: Coverage,
    reserve_calls: int,
) -> RunSpec:
    """Return the run of a range of sessions.

    Args:
        bounds: first and last session.
        to_load: the gaps of stored bars.
        to_request: the gaps of the bars to request.
        again: symbols to request again.
        found: all gaps.
        reserve_calls: calls that are reserved for the schedule.
    """
    first, last = bounds
    rejections = sorted({rejection.load_id for rejection in found.rejected.values()})
    symbols = sorted(_symbols(to_request, bounds))
    return RunSpec(
        first,
        last,
        config={
            **({} if _are_all_missing(symbols, bounds, found) else {"request_symbols": symbols}),
            "reserve_calls": reserve_calls,
            **({"request_again": list(again)} if again else {}),
        },
        state=_digest(chain(_states(in_range(to_load, bounds)), _states(in_range(to_request, bounds)), rejections)),
    )


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    # There can be millions of bars, so their lines are never all in memory.
    for number, line in enumerate(lines):
        digest.update(f"\n{line}".encode() if number else line.encode())
    return digest.hexdigest()[:16]


def _states(gaps: GapsBySession) -> Iterator[str]:
    """Yield the lines about the bars of each session; most of them differ in the symbol alone."""
    times: dict[datetime | None, str] = {}
    for session, found in gaps.items():
        for (stored, retry_at), equal in groupby(found, key=attrgetter("stored", "retry_at")):
            due = retry_at and max(retry_at, catch_up_start(session))
            # The bars of a symbol are mostly due at the same time, and formatting a time takes longer than all else.
            end = f" {session} {stored} {times.get(due) or times.setdefault(due, str(due))}"
            yield "\n".join([f"{gap.symbol}{end}" for gap in equal])


def _are_all_missing(symbols: Sequence[str], bounds: tuple[date, date], found: Coverage) -> bool:
    """Return whether the symbols are many, and all that have a missing bar in a range.

    A run requests all missing bars by default. Dagster keeps the configuration of each run, so it should not grow with
    the symbols when a whole session is missing. By default a run also requests a bar that is published without a
    response that counts, such as one of a ledger that was restored from an older copy.
    """
    if len(symbols) <= SYMBOLS_SHOWN:
        return False
    # A quarantined bar has a response: a run requests it only if it is told to.
    return {gap.symbol for gap in found.gaps if gap.missing and gap.has_session_in(bounds)} <= set(symbols)


def available_calls(parts: PipelineParts, at: datetime) -> AvailableCalls:
    """Return the calls that catch-up may use now, and the calls reserved for scheduled runs of this quota day."""
    backend, source, universes = parts.backend, parts.source, [each.universe for each in (parts, *parts.others)]
    limits = source.terms.limits
    recorded = backend.rate_limiter.recorded(source.vendor, limits.day_start(at))
    if blocked_until := recorded.active_block(at):
        return AvailableCalls(0, 0, blocked_until)
    if limits.per_day is None:
        return AvailableCalls(None, 0)
    scheduled = [
        session
        for session in sessions_between(at.date(), limits.next_reset(at).date())
        if at < catch_up_start(session) <= limits.next_reset(at)
    ]
    reserved = max(
        (
            sum(counts)
            for counts in zip(*(universe.listed_counts(scheduled).values() for universe in universes), strict=True)
        ),
        default=0,
    )
    return AvailableCalls(max(0, limits.per_day - recorded.used_today(limits, at) - reserved), reserved)


def explain_waiting(plan: CatchUpPlan, calls: AvailableCalls, limits: CallLimits, at: datetime) -> str:
    """Return what the gaps of a plan wait for, on one line; empty if none waits."""
    parts = []
    if plan.waiting:
        symbols = sorted({gap.symbol for gap in plan.waiting})
        days = format_ranges(sessions_of(plan.waiting))
        reserved = f" ({calls.reserved} more are reserved for the scheduled run)" if calls.reserved else ""
        can_be_used = (
            f"the vendor reported that none is left, the next one is tried at {calls.blocked_until:%Y-%m-%d %H:%M} UTC"
            if calls.blocked_until
            else f"{calls.available} of today's {limits.per_day} can be used now{reserved}"
        )
        parts.append(
            f"{shorten_list(symbols, _LISTED)} of {days} wait for {plural(len(symbols), 'call')}: {can_be_used}; "
            f"the quota resets at {limits.next_reset(at):%Y-%m-%d %H:%M} UTC"
        )
    if plan.incomplete:
        parts.append(
            f"{format_ranges(plan.incomplete)}: stored bars wait for bars of more symbols, since the session does not "
            "reach STOCK_ASSETS_MIN_COVERAGE yet"
        )
    return "; ".join(parts)


def warn_about_calls(parts: PipelineParts, sessions: Sequence[date], rules: RequestRules, at: datetime) -> str | None:
    """Return a warning if a run that is started by hand needs more calls than are left, or calls of the schedule."""
    limits = parts.source.terms.limits
    if limits.per_day is None:
        return None
    needed = len(symbols_to_request(parts, sessions, rules, at))
    recorded = parts.backend.rate_limiter.recorded(parts.source.vendor, limits.day_start(at))
    left = max(0, limits.per_day - recorded.used_today(limits, at))
    reserved = available_calls(parts, at).reserved
    reset = f"{limits.next_reset(at):%Y-%m-%d %H:%M} UTC"
    today = f"{left} of today's {plural(limits.per_day, 'call')} {'is' if left == 1 else 'are'} left"
    calls = f"This run requests {plural(needed, 'symbol')}, and {today}"
    if needed > left:
        return f"{calls}: {plural(needed - left, 'symbol')} cannot be requested before the quota resets at {reset}."
    if not reserved or needed <= left - reserved:
        return None
    short = plural(min(reserved, needed + reserved - left), "symbol")
    return (
        f"{calls}. The scheduled run at {SCHEDULED_AT:%H:%M} UTC needs {reserved} of them: after this run, {short} of "
        f"tonight's session cannot be requested before the quota resets at {reset}. To keep the calls, start this run "
        f"after {SCHEDULED_AT:%H:%M} UTC."
    )


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
