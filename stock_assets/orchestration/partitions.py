"""Trading sessions as Dagster partitions, and the sessions of a run.

Belongs here: partitions, their keys and the tags of range runs. Does not belong here: the trading calendar
(`core.calendar`).
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta

import dagster as dg

from stock_assets.core.calendar import CALENDAR_END, NEW_YORK, next_session, sessions_between

_PARTITION_TIME = time(16, 0)
"""A session's partition starts at the regular market close in New York, so that its key exists from then on."""
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Tags with the first and last partition of a run over a range."""


def session_partitions(first: date, last: date | None) -> dg.TimeWindowPartitionsDefinition:
    """Return one partition per trading session, named by its date.

    Args:
        first: first session of the range.
        last: last session of a recorded source, or None for a range that grows every day.
    """
    # A window ends at the next market close. With an end, the last window must have ended, so no offset is needed.
    end = next_session(last) if last else None
    exclusions = [_partition_start(day) for day in _weekdays_without_session(first, end or CALENDAR_END)]
    return dg.TimeWindowPartitionsDefinition(
        start=_partition_start(first),
        end=_partition_start(end) if end else None,
        fmt="%Y-%m-%d",
        cron_schedule=f"{_PARTITION_TIME.minute} {_PARTITION_TIME.hour} * * 1-5",
        timezone=NEW_YORK.key,
        end_offset=0 if last else 1,
        # Dagster applies an exclusion only if it equals the cron tick to the second.
        exclusions=exclusions,
    )


def partition_sessions(keys: Iterable[str]) -> list[date]:
    """Return the sessions of partition keys, in order."""
    return sorted(date.fromisoformat(key) for key in keys)


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the tags of a run over all sessions from `first` to `last`; `tagged_sessions` reads them."""
    return dict(zip(_RANGE_TAGS, (first.isoformat(), last.isoformat()), strict=True))


def tagged_sessions(tags: Mapping[str, str]) -> list[date]:
    """Return the sessions of a run from its tags, in order: one, a range, or none for a run without partitions."""
    if "dagster/partition" in tags:
        return partition_sessions([tags["dagster/partition"]])
    bounds = [tags.get(tag) for tag in _RANGE_TAGS]
    if None in bounds:
        return []
    return sessions_between(*(date.fromisoformat(str(bound)) for bound in bounds))


def _partition_start(session: date) -> datetime:
    return datetime.combine(session, _PARTITION_TIME, NEW_YORK)


def _weekdays_without_session(first: date, last: date) -> list[date]:
    open_days = set(sessions_between(first, last))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.isoweekday() <= 5 and day not in open_days]  # noqa: PLR2004 (Friday)
