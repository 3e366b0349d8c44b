"""The missing bars of symbols: when each is due, and why it is missing.

Belongs here: the types that describe missing bars, and what all their users compute from them. Does not belong here:
finding them (`missing_bars`), what is done about them (`catch_up`, `missing_sessions`), the text about them
(`explain`).

The missing bars of a symbol that differ only in their session are one object, because there can be millions of bars:
10,000 symbols and 250 sessions would need a gigabyte.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from operator import attrgetter
from typing import NamedTuple

from stock_assets.loads.rejections import Rejection

SCHEDULED_AT = time(22, tzinfo=UTC)
"""Time at which the schedule requests the session of the day."""
RETRY_DELAYS = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24))
"""Delays between retries; after the last one we stop."""
AT_ONCE = datetime.min.replace(tzinfo=UTC)
"""Time of the next request for bars that no request has failed to get: as soon as catch-up handles their session."""
SESSION = "{session}"
"""Stands for the session in a reason that several bars share."""


@cache
def catch_up_start(session: date) -> datetime:
    """Return the timestamp from which catch-up handles a session; before it, the session belongs to the schedule."""
    return datetime.combine(session, SCHEDULED_AT) + RETRY_DELAYS[0]


class MissingBar(NamedTuple):
    """One bar of a gap; see `Gap`. `due` is None if the bar is stored or no longer requested."""

    symbol: str
    session: date
    stored: bool
    due: datetime | None
    reason: str
    requests: int
    unobtainable: bool
    audits: tuple[str, ...]

    def __str__(self) -> str:
        """Return the bar and why it is missing, on one line."""
        return f"{self.symbol} {self.session}: {self.reason}"


class Gap(NamedTuple):
    """Expected bars of one symbol that are not published, or published bars outside its listings, for the same reason.

    Attributes:
        symbol: ticker.
        sessions: trade dates, in order, at least one.
        stored: whether stored responses have the bars, so that only loading remains.
        retry_at: when to request the bars, aware, UTC, but each one only after catch-up begins to handle its session;
            None if they are stored or no longer requested.
        reason: why the bars are missing, on one line; `SESSION` stands for the session of each.
        requests: failed attempts since the market close.
        unobtainable: whether the vendor's history does not contain the sessions, so that no request can succeed.
        audits: audits that the bars fail, if the newest responses have the bars that are in quarantine.
    """

    symbol: str
    sessions: tuple[date, ...]
    stored: bool
    retry_at: datetime | None
    reason: str
    requests: int = 0
    unobtainable: bool = False
    audits: tuple[str, ...] = ()

    @property
    def quarantined(self) -> bool:
        """Return whether the bars are in quarantine, and other responses may correct them."""
        return bool(self.audits)

    @property
    def missing(self) -> bool:
        """Return whether no response has the bars; a quarantined bar counts for the coverage of its session."""
        return not self.stored and not self.audits

    @property
    def requestable(self) -> bool:
        """Return whether a request could get the bars."""
        return not self.stored and not self.unobtainable

    @property
    def given_up(self) -> bool:
        """Return whether the pipeline no longer tries to get the bars automatically."""
        return not self.stored and self.retry_at is None

    def due(self, session: date) -> datetime | None:
        """Return when to request one of the bars."""
        return None if self.retry_at is None else max(self.retry_at, catch_up_start(session))

    def due_sessions(self, at: datetime) -> tuple[date, ...]:
        """Return the sessions whose bars are due at a timestamp."""
        if self.retry_at is None or self.retry_at > at:
            return ()
        return self.sessions[: bisect_right(self.sessions, at, key=catch_up_start)]

    def next_due(self, at: datetime) -> datetime | None:
        """Return when the next bar becomes due after a timestamp."""
        waiting = self.sessions[len(self.due_sessions(at)) :]
        return self.due(waiting[0]) if waiting else None

    def has_session_in(self, bounds: tuple[date, date]) -> bool:
        """Return whether a bar is in a range of sessions."""
        start = bisect_left(self.sessions, bounds[0])
        return start < len(self.sessions) and self.sessions[start] <= bounds[1]

    def bar(self, session: date) -> MissingBar:
        """Return one of the bars."""
        reason = self.reason.replace(SESSION, str(session))
        due = self.due(session)
        return MissingBar(self.symbol, session, self.stored, due, reason, self.requests, self.unobtainable, self.audits)


GapsBySession = Mapping[date, Sequence[Gap]]
"""The gaps that have a bar in each session; both in order."""


@dataclass(frozen=True)
class Coverage:
    """The missing bars of some sessions.

    Attributes:
        gaps: in the order of their first sessions and of the symbols.
        rejected: sessions whose stored bars an audit rejected and which have not changed since.
        may_miss: how many listed symbols may have no bar in a session, by the limit of the audits; no entry means any
            number.
    """

    gaps: tuple[Gap, ...]
    rejected: Mapping[date, Rejection]
    may_miss: Mapping[date, int] = field(default_factory=dict)

    def is_due(self, at: datetime) -> bool:
        """Return whether a bar has to be requested."""
        return any(gap.due_sessions(at) for gap in self.gaps)

    def bars(self) -> Iterator[MissingBar]:
        """Yield the bars of all gaps, in the order of sessions and symbols."""
        return bars_of(self.gaps)


def in_order(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return gaps in the order of their first sessions and of the symbols."""
    return tuple(sorted(gaps, key=lambda gap: (gap.sessions[0], gap.symbol)))


def sessions_of(gaps: Iterable[Gap]) -> set[date]:
    """Return the sessions of some gaps."""
    return set().union(*(gap.sessions for gap in gaps))


def count_bars(gaps: Iterable[Gap]) -> int:
    """Return the number of bars of some gaps."""
    return sum(len(gap.sessions) for gap in gaps)


def limit_sessions(gaps: Iterable[Gap], sessions: Collection[date]) -> list[Gap]:
    """Return the gaps with only the bars of some sessions; a gap without such a bar is left out."""
    wanted = frozenset(sessions)
    limited = (
        gap
        if wanted.issuperset(gap.sessions)
        else gap._replace(sessions=tuple(session for session in gap.sessions if session in wanted))
        for gap in gaps
    )
    return [gap for gap in limited if gap.sessions]


def by_session(gaps: Iterable[Gap]) -> GapsBySession:
    """Return the gaps that have a bar in each session, in the order of sessions and symbols."""
    found: dict[date, list[Gap]] = {}
    for gap in sorted(gaps, key=attrgetter("symbol")):
        for session in gap.sessions:
            found.setdefault(session, []).append(gap)
    return dict(sorted(found.items()))


def in_range(gaps: GapsBySession, bounds: tuple[date, date]) -> GapsBySession:
    """Return the gaps of the sessions in a range."""
    first, last = bounds
    return {session: found for session, found in gaps.items() if first <= session <= last}


def bars_of(gaps: Iterable[Gap]) -> Iterator[MissingBar]:
    """Yield the bars of gaps, in the order of sessions and symbols."""
    for session, found in by_session(gaps).items():
        for gap in found:
            yield gap.bar(session)
