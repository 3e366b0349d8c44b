"""Trading sessions as Dagster partitions, and the sessions of a run.

Belongs here: partitions, their keys and the tags of range runs. Does not belong here: the trading calendar
(`core.calendar`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import cached_property

import dagster as dg

from stock_assets.core.calendar import CALENDAR_END, NEW_YORK, REGULAR_CLOSE, next_session, sessions_between
from stock_assets.orchestration.instance.dagster_internals import DynamicPartitionsStore

_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
"""Tags with the first and last partition of a run over a range."""


class SessionPartitions(dg.TimeWindowPartitionsDefinition):
    """Sessions as time windows, whose keys are read from the calendar.

    A run lists all keys for each step without partitions after a step with partitions, and Dagster computes each key
    with cron: a second of CPU for a live source that begins in 2000, six times in a run. Dagster serializes this class
    as its base class, so its UI and its daemon compute the same keys themselves.
    """

    def get_partition_keys(
        self,
        current_time: datetime | None = None,
        dynamic_partitions_store: DynamicPartitionsStore | None = None,
    ) -> Sequence[str]:
        """Return the keys of all sessions that have ended by the current time, in order."""
        with dg.partition_loading_context(current_time, dynamic_partitions_store):
            first, last = self.get_first_partition_key(), self.get_last_partition_key()
        if first is None or last is None:
            return []
        return [day.isoformat() for day in sessions_between(date.fromisoformat(first), date.fromisoformat(last))]

    @cached_property
    def _hash(self) -> int:
        return int(super().__hash__())  # type: ignore[no-untyped-call]  # Dagster does not annotate it

    def __hash__(self) -> int:
        """Return the hash of the base class, computed once.

        Dagster computes it from a text with all exclusions, and a run needs it a hundred times.
        """
        return self._hash


def session_partitions(first: date, last: date | None) -> SessionPartitions:
    """Return one partition per trading session, named by its date.

    Args:
        first: first session of the range.
        last: last session of a recorded source, or None for a range that grows every day.
    """
    # Dagster creates a partition when its window has ended. A window from midnight to the regular close has ended when
    # the session has. Windows that begin at the close, with `end_offset=1`, have a fault: on the evening of a holiday,
    # the next session has a partition (dagster-io/dagster#33551). They are contiguous, though, so that Dagster merges
    # ranges of them 10 times faster; with an end they need no offset, and a recording uses them.
    end = next_session(last) if last else None
    starts_at = REGULAR_CLOSE if end else time(0)
    closed = [datetime.combine(day, starts_at, NEW_YORK) for day in _weekdays_closed(first, end or CALENDAR_END)]
    return SessionPartitions(
        start=datetime.combine(first, starts_at, NEW_YORK),
        end=datetime.combine(end, starts_at, NEW_YORK) if end else None,
        fmt="%Y-%m-%d",
        cron_schedule="0 16 * * 1-5" if end else "0 0,16 * * 1-5",
        timezone=NEW_YORK.key,
        # Dagster applies an exclusion only if it equals the cron tick to the second.
        exclusions=closed if end else ["0 16 * * 1-5", *closed],
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


def _weekdays_closed(first: date, last: date) -> list[date]:
    open_days = set(sessions_between(first, last))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.isoweekday() <= 5 and day not in open_days]  # noqa: PLR2004 (Friday)
