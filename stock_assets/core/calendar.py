"""The exchange's trading sessions: when the market is open, and the partitions made of them.

Belongs here: everything that asks the calendar. Does not belong here: which sessions a symbol was listed for
(`universe`), or when runs are started (`automation`).

The calendar is `XNYS` of `exchange_calendars`; NASDAQ keeps the same sessions. It is built for fixed years, so
that it depends on no clock. Closures announced on short notice (a day of mourning, a storm) arrive with new
versions of that library.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import exchange_calendars
import pandas as pd
import pyarrow as pa

EXCHANGE = "XNYS"
NEW_YORK = ZoneInfo("America/New_York")
CALENDAR_START = date(1999, 1, 1)
CALENDAR_END = date(2050, 12, 31)


_MOST_RANGES = 20
_ONE_DAY = timedelta(days=1)


@cache
def _calendar() -> exchange_calendars.ExchangeCalendar:
    return exchange_calendars.get_calendar(EXCHANGE, start=str(CALENDAR_START), end=str(CALENDAR_END))


@cache
def _session_days() -> frozenset[date]:
    return frozenset(stamp.date() for stamp in _calendar().sessions)


def is_session(day: date) -> bool:
    """Tell whether the exchange trades on that day; outside the years of the calendar it never does."""
    return day in _session_days()


def sessions_between(first: date, last: date) -> list[date]:
    """List the sessions from `first` to `last`, both included, in order."""
    sessions = _calendar().sessions
    return [stamp.date() for stamp in sessions[sessions.slice_indexer(pd.Timestamp(first), pd.Timestamp(last))]]


@cache
def closing_time(session: date) -> datetime:
    """Give the moment of the closing bell, in UTC; early closes are known to the calendar."""
    close: pd.Timestamp = _calendar().session_close(pd.Timestamp(session))
    return close.to_pydatetime().astimezone(UTC)


def next_session(session: date) -> date:
    """Give the session after this one."""
    following: pd.Timestamp = _calendar().next_session(pd.Timestamp(session))
    return following.date()


def session_table(sessions: Iterable[date]) -> pa.Table:
    """Make the relation `sessions` that audits read: `session` (date) and `closes_at` (timestamp, UTC)."""
    days = list(sessions)
    closes = [closing_time(day).replace(tzinfo=None) for day in days]
    return pa.table({"session": pa.array(days, pa.date32()), "closes_at": pa.array(closes, pa.timestamp("us"))})


def contiguous_ranges(sessions: Iterable[date]) -> list[tuple[date, date]]:
    """Group days into ranges without a trading day missing inside: `[(first, last), ...]`."""
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
    """Write sessions as ranges for people, the first of them if there are many."""
    ranges = contiguous_ranges(sessions)
    said = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges[:_MOST_RANGES]]
    return ", ".join(said) + (f" and {len(ranges) - _MOST_RANGES} more ranges" if len(ranges) > _MOST_RANGES else "")
