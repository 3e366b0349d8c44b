"""The exchange's trading sessions: when the market is open, and the partitions made of them.

Belongs here: everything that asks the calendar. Does not belong here: which sessions a symbol was listed for
(`universe`), or when runs are started (`automation`).

The calendar is `XNYS` of `exchange_calendars`; NASDAQ keeps the same sessions. It is built for fixed years, so
that it depends on no clock. Closures announced on short notice (a day of mourning, a storm) arrive with new
versions of that library.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import exchange_calendars
import pandas as pd
import pyarrow as pa

EXCHANGE = "XNYS"
NEW_YORK = ZoneInfo("America/New_York")
CALENDAR_START = date(1999, 1, 1)
CALENDAR_END = date(2050, 12, 31)

_PARTITION_TIME = time(16, 0)
"""A session's partition begins at the regular closing bell in New York, so that its key exists from then on."""


_MOST_RANGES = 20
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""By which Dagster knows the first and last partition of a run over many."""
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


def session_partitions(first: date, last: date | None) -> dg.TimeWindowPartitionsDefinition:
    """Make one partition per trading session, named by its date.

    Args:
        first: first session of the range.
        last: last session that can ever be had (a recorded source), or None for a range that grows every day.
    """
    # A window lasts until the next bell; with an end, the last window must have ended (and no offset is needed).
    end = next_session(last) if last else None
    exclusions = [_partition_start(day) for day in _weekdays_without_session(first, end or CALENDAR_END)]
    return dg.TimeWindowPartitionsDefinition(
        start=_partition_start(first),
        end=_partition_start(end) if end else None,
        fmt="%Y-%m-%d",
        cron_schedule=f"{_PARTITION_TIME.minute} {_PARTITION_TIME.hour} * * 1-5",
        timezone=NEW_YORK.key,
        end_offset=0 if last else 1,
        # An exclusion counts only if it equals the cron tick to the second.
        exclusions=exclusions,
    )


def partition_sessions(keys: Iterable[str]) -> list[date]:
    """Turn partition keys into sessions, in order."""
    return sorted(date.fromisoformat(key) for key in keys)


def range_tags(first: date, last: date) -> dict[str, str]:
    """Give the tags that make a run one of all sessions from `first` to `last`; `tagged_sessions` reads them."""
    return dict(zip(_RANGE_TAGS, (first.isoformat(), last.isoformat()), strict=True))


def tagged_sessions(tags: Mapping[str, str]) -> list[date]:
    """Read the sessions of a run from its tags, in order: one, a range, or none for a run without partitions."""
    if "dagster/partition" in tags:
        return partition_sessions([tags["dagster/partition"]])
    bounds = [tags.get(tag) for tag in _RANGE_TAGS]
    if None in bounds:
        return []
    return sessions_between(*(date.fromisoformat(str(bound)) for bound in bounds))


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


def _partition_start(session: date) -> datetime:
    return datetime.combine(session, _PARTITION_TIME, NEW_YORK)


def _weekdays_without_session(first: date, last: date) -> list[date]:
    open_days = set(sessions_between(first, last))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.isoweekday() <= 5 and day not in open_days]  # noqa: PLR2004 (Friday)
