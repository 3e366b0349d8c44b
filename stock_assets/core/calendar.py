"""The exchange's trading sessions and their closing times.

Belongs here: everything that is read from the exchange calendar, and formatting sessions as ranges. Does not belong
here: which sessions a symbol was listed for (`universe`), or when runs start (`orchestration`).

The calendar is XNYS; NASDAQ has the same sessions. The weekdays without a session and the early closes are in the table
`exchange_calendar.csv`, which `make calendar` generates from `exchange_calendars`; a test compares the two. So reading
the calendar needs no library, every process has the same sessions, also the Lambda function, and they depend on no
clock. Closures announced on short notice (a day of mourning, a storm) come with new releases of that library and then
of the table; until then, `STOCK_ASSETS_CLOSURES` declares them. The pipeline passes the setting to `declare_closures`
when it is constructed, in every process, so that no function has to be passed the closures.

pyarrow is imported inside the functions that need it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import pyarrow as pa

NEW_YORK = ZoneInfo("America/New_York")
CALENDAR_START = date(1999, 1, 1)
CALENDAR_END = date(2050, 12, 31)
TABLE = "exchange_calendar.csv"
"""A line per weekday that is no regular session: the day, its early close, and the name of the holiday.

Without an early close the exchange is closed; without a name too, it was an unscheduled closure.
"""

REGULAR_CLOSE = time(16, 0)
"""The regular market close in New York. A session's partition exists from then on, also if the exchange closes early:
Dagster's time windows have no early closes."""
_MOST_RANGES = 20
_SATURDAY = 5
_ONE_DAY = timedelta(days=1)
_declared_closures: set[date] = set()


def declare_closures(days: Iterable[date]) -> None:
    """Remove unscheduled closures from the sessions of this process; they replace those declared before."""
    declared = set(days)
    if declared == _declared_closures:
        return
    _declared_closures.clear()
    _declared_closures.update(declared)
    _sessions.cache_clear()
    _session_days.cache_clear()


@cache
def _closes() -> dict[date, time]:
    """Return the time of the market close, in New York, of every session, closures that were declared included."""
    special = {day: close for day, close, _ in _special_days()}
    days = (CALENDAR_START + timedelta(days=number) for number in range((CALENDAR_END - CALENDAR_START).days + 1))
    closes = {day: special.get(day, REGULAR_CLOSE) for day in days if day.weekday() < _SATURDAY}
    return {day: close for day, close in closes.items() if close is not None}


@cache
def closed_weekdays() -> Mapping[date, str]:
    """Return the weekdays on which the exchange is closed, with the name of the holiday.

    The name of an unscheduled closure is empty; days that `declare_closures` declared are not included.
    """
    return {day: name for day, close, name in _special_days() if close is None}


@cache
def _special_days() -> tuple[tuple[date, time | None, str], ...]:
    """Read the table: each day with its early close, None if the exchange is closed, and the name of the holiday."""
    text = files(__package__).joinpath(TABLE).read_text(encoding="ascii")
    rows = (line.split(",") for line in text.splitlines())
    return tuple(
        (date.fromisoformat(day), time.fromisoformat(close) if close else None, name) for day, close, name in rows
    )


@cache
def _sessions() -> tuple[date, ...]:
    return tuple(day for day in _closes() if day not in _declared_closures)


@cache
def _session_days() -> frozenset[date]:
    return frozenset(_sessions())


def is_session(day: date) -> bool:
    """Return whether the exchange trades on a day; False outside the years of the calendar."""
    return day in _session_days()


def sessions_between(first: date, last: date) -> list[date]:
    """Return the sessions from `first` to `last`, both included, in order."""
    sessions = _sessions()
    return list(sessions[bisect_left(sessions, first) : bisect_right(sessions, last)])


@cache
def closing_time(session: date) -> datetime:
    """Return the timestamp of the market close, in UTC; the calendar knows early closes."""
    return datetime.combine(session, _closes()[session], NEW_YORK).astimezone(UTC)


def loadable_from(session: date) -> datetime:
    """Return the timestamp from which a session has a partition, in UTC."""
    return datetime.combine(session, REGULAR_CLOSE, NEW_YORK).astimezone(UTC)


def loadable_sessions(sessions: Sequence[date], at: datetime) -> tuple[list[date], str]:
    """Return the sessions that have a partition by now, and a message about the others; empty if there are none."""
    return split_by_close(sessions, at, loadable_from)


def next_session(session: date) -> date:
    """Return the session after this one."""
    sessions = _sessions()
    return sessions[bisect_right(sessions, session)]


def previous_session(session: date) -> date:
    """Return the session before this one."""
    sessions = _sessions()
    return sessions[max(bisect_left(sessions, session) - 1, 0)]


def sessions_closing(after: datetime, until: datetime) -> list[date]:
    """Return the sessions whose market close is later than `after` and not later than `until`, in order."""
    days = sessions_between(after.date() - _ONE_DAY, until.date() + _ONE_DAY)
    return [day for day in days if after < closing_time(day) <= until]


def session_table(sessions: Iterable[date]) -> "pa.Table":
    """Build the relation `sessions` that audits read: `session` (date) and `closes_at` (timestamp, UTC)."""
    import pyarrow as pa  # noqa: PLC0415 (slow, see above)

    days = list(sessions)
    closes = [closing_time(day).replace(tzinfo=None) for day in days]
    return pa.table({"session": pa.array(days, pa.date32()), "closes_at": pa.array(closes, pa.timestamp("us"))})


def closed_day_table(first: date, last: date) -> "pa.Table":
    """Build the relation `closed_days` that staging reads: `day`, `session_before` and `session_after` (dates)."""
    import pyarrow as pa  # noqa: PLC0415 (slow, see above)

    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    closed = [day for day in days if not is_session(day)]
    sessions = _sessions()
    after = [bisect_left(sessions, day) for day in closed]
    return pa.table(
        {
            "day": pa.array(closed, pa.date32()),
            "session_before": pa.array([sessions[max(number - 1, 0)] for number in after], pa.date32()),
            "session_after": pa.array([sessions[number] for number in after], pa.date32()),
        }
    )


def contiguous_ranges(sessions: Iterable[date]) -> list[tuple[date, date]]:
    """Group sessions into ranges that skip no session: `[(first, last), ...]`."""
    ordered = sorted(sessions)
    if not ordered:
        return []
    starts, ends = [ordered[0]], []
    for before, after in pairwise(ordered):
        if sessions_between(before + _ONE_DAY, after - _ONE_DAY):
            ends.append(before)
            starts.append(after)
    return list(zip(starts, [*ends, ordered[-1]], strict=True))


def format_ranges(sessions: Iterable[date]) -> str:
    """Format sessions as ranges for a message; after 20 ranges, only the number of further ranges follows."""
    ranges = contiguous_ranges(sessions)
    texts = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges[:_MOST_RANGES]]
    more = len(ranges) - _MOST_RANGES
    return ", ".join(texts) + (f" and {more} more range{'s' if more > 1 else ''}" if more > 0 else "")


def split_by_close(
    sessions: Sequence[date], at: datetime, loadable_from: Callable[[date], datetime]
) -> tuple[list[date], str]:
    """Return the sessions that can be loaded at a timestamp, and a message about the others; empty if there are none.

    Args:
        sessions: the sessions, in order.
        at: now, aware, UTC.
        loadable_from: returns the timestamp, in UTC, from which a session can be loaded.
    """
    loadable = [session for session in sessions if loadable_from(session) <= at]
    waiting = [session for session in sessions if loadable_from(session) > at]
    if not waiting:
        return loadable, ""
    last = waiting[-1]
    after = f"{loadable_from(last):%H:%M} UTC"
    if len(waiting) == 1:
        return loadable, f"{last} has not closed yet. Load it after {after}."
    return loadable, f"{format_ranges(waiting)} have not closed yet. Load them after {after} on {last}."
