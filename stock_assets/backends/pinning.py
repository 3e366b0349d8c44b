"""Read an Iceberg table as it was: at a timestamp, or at a snapshot.

Belongs here: which snapshot was current at a timestamp, and how to recognise that it has expired. Does not belong here:
listing and rolling back snapshots (`snapshots`), what users may write as a timestamp (`serve.as_of`).
"""

from copy import copy
from datetime import UTC, datetime, timedelta

from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.interface import AsOf
from stock_assets.backends.snapshots import committed_at, require_known
from stock_assets.core.errors import SnapshotExpired
from stock_assets.core.tables import Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def pin(table: Table, stored: IcebergTable | None, as_of: AsOf | None) -> IcebergTable | None:
    """Return a table at an earlier snapshot; None if it had no snapshot at the timestamp.

    Args:
        table: the published table.
        stored: its metadata; None if it does not exist.
        as_of: a timestamp, or snapshot ids by the full names of tables; other tables, and None, mean the current one.

    Raises:
        UnknownSnapshot: the table does not have the snapshot.
        SnapshotExpired: maintenance has expired the snapshot that was current at the timestamp.
    """
    if isinstance(as_of, datetime):
        return _at_time(table, stored, as_of) if stored is not None else None
    if as_of is None or table.full_name not in as_of:
        return stored
    snapshot_id = as_of[table.full_name]
    require_known(table, stored, snapshot_id)
    return _at(stored, snapshot_id) if stored is not None else None


def _at_time(table: Table, stored: IcebergTable, at: datetime) -> IcebergTable | None:
    # Iceberg counts milliseconds. Division of floats would round.
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    before = [one.sequence_number or 0 for one in stored.snapshots() if one.timestamp_ms <= milliseconds]
    after = [one.sequence_number or 0 for one in stored.snapshots() if one.timestamp_ms > milliseconds]
    # Each commit takes the next number. If numbers are missing around the timestamp, their snapshots have expired, and
    # one of them may have been current then: Iceberg forgets expired snapshots completely.
    if after and min(after) > max(before, default=0) + 1:
        oldest = min(map(committed_at, stored.snapshots()))
        raise SnapshotExpired(
            f"{table.full_name} cannot be read as of {at:%Y-%m-%d %H:%M:%S} UTC: maintenance has expired the snapshot "
            f"of that time. The oldest one left is of {oldest:%Y-%m-%d %H:%M:%S} UTC. Use a later timestamp; "
            "STOCK_ASSETS_SNAPSHOT_RETENTION_DAYS sets how long snapshots are kept"
        )
    found = stored.snapshot_as_of_timestamp(milliseconds)
    return _at(stored, found.snapshot_id) if found is not None else None


def _at(stored: IcebergTable, snapshot_id: int) -> IcebergTable:
    """Return a copy of the loaded metadata in which another snapshot is the current one."""
    pinned = copy(stored)
    pinned.metadata = stored.metadata.model_copy(update={"current_snapshot_id": snapshot_id})
    return pinned
