"""List, roll back and maintain the snapshots of an Iceberg table, whatever catalog stores the table.

Belongs here: history, rollback, retrying after commits of other writers, and what maintenance needs to know about
snapshots. Does not belong here: how a backend loads a table, writes rows or removes files.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

from stock_assets.backends.interface import MaintenanceResult, Snapshot
from stock_assets.core.errors import ConcurrentPublish, SnapshotExpired, UnknownSnapshot
from stock_assets.core.retry import retrying
from stock_assets.core.tables import Table

_ROLLBACK_ATTEMPTS = 10
_MAINTENANCE_ATTEMPTS = 8
_Result = TypeVar("_Result")


def committed_at(snapshot: IcebergSnapshot) -> datetime:
    """Return when a snapshot was committed, aware, UTC."""
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)


def row_count(snapshot: IcebergSnapshot | None) -> int:
    """Count the rows of a snapshot; Athena marks rows as deleted in files beside the files with the rows."""
    if snapshot is None or snapshot.summary is None:
        return 0
    deleted = snapshot.summary["total-position-deletes"] or 0
    return int(snapshot.summary["total-records"] or 0) - int(deleted)


def is_empty_start(snapshot: IcebergSnapshot) -> bool:
    """Return whether Trino created the snapshot together with its table: it has no rows, and no load published it."""
    summary = snapshot.summary
    return snapshot.parent_snapshot_id is None and summary is not None and summary["total-data-files"] == "0"


def history(stored: IcebergTable, read_properties: Callable[[IcebergSnapshot], Mapping[str, str]]) -> list[Snapshot]:
    """Return the snapshots of a table, newest first.

    Args:
        stored: the table.
        read_properties: returns what the publishing load recorded about a snapshot.
    """
    current = stored.current_snapshot()
    return [
        Snapshot(
            snapshot_id=snapshot.snapshot_id,
            committed_at=committed_at(snapshot),
            rows=row_count(snapshot),
            properties=read_properties(snapshot),
            is_current=current is not None and snapshot.snapshot_id == current.snapshot_id,
            parent_id=snapshot.parent_snapshot_id,
        )
        for snapshot in sorted(_published(stored), key=_sequence_number, reverse=True)
    ]


def roll_back(table: Table, load: Callable[[], IcebergTable | None], snapshot_id: int) -> None:
    """Roll a table back to a snapshot, whatever snapshot is current when this commits.

    Args:
        table: the published table.
        load: loads the newest metadata of the table; returns None if the table does not exist.
        snapshot_id: id of the snapshot.

    Raises:
        UnknownSnapshot: the table has never had the snapshot, or the snapshot has expired.
        ConcurrentPublish: other writers committed in every attempt.
    """

    def attempt() -> None:
        stored = load()
        require_known(table, stored, snapshot_id)
        if stored is not None:
            stored.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()

    until_committed(
        attempt,
        # pyiceberg raises ValueError if the snapshot has expired since it was found; the next attempt reports that.
        is_conflict=lambda error: isinstance(error, CommitFailedException | ValueError),
        attempts=_ROLLBACK_ATTEMPTS,
        message=f"{table.full_name} could not be rolled back: other processes published to it in every attempt. "
        "Try again when they have finished",
    )


def maintain_newest(
    table: Table,
    load: Callable[[], IcebergTable],
    step: Callable[[IcebergTable], int],
    *,
    is_conflict: Callable[[BaseException], bool],
    longest_seconds: float,
) -> int:
    """Run one maintenance step on the newest snapshot, again if another writer has committed meanwhile.

    Args:
        table: the published table.
        load: loads the newest metadata of the table.
        step: commits its changes and returns their number.
        is_conflict: returns whether an error means that another writer has committed.
        longest_seconds: upper limit of one pause between attempts.

    Returns:
        what the step returned; 0 if the table was rolled back before the step could run.

    Raises:
        ConcurrentPublish: other writers committed in every attempt.
    """

    def attempt() -> int:
        newest = load()
        # A user may have rolled back after maintenance began.
        return 0 if is_rolled_back(newest) else step(newest)

    return until_committed(
        attempt,
        is_conflict=is_conflict,
        attempts=_MAINTENANCE_ATTEMPTS,
        message=f"{table.full_name} could not be maintained: other processes published to it in every attempt. "
        "Run maintenance again when they have finished",
        longest_seconds=longest_seconds,
    )


def until_committed(
    attempt: Callable[[], _Result],
    *,
    is_conflict: Callable[[BaseException], bool],
    attempts: int,
    message: str,
    longest_seconds: float = 2.0,
) -> _Result:
    """Repeat an attempt as long as other writers commit first.

    Raises:
        ConcurrentPublish: every attempt ended in a conflict.
    """
    try:
        policy = retrying(
            attempts=attempts, longest_seconds=longest_seconds, on=is_conflict, first_seconds=0.1, sleep=time.sleep
        )
        return policy(attempt)
    except Exception as error:
        if not is_conflict(error):
            raise
        raise ConcurrentPublish(message) from error


def skipped_after_rollback(files: int) -> MaintenanceResult:
    """Return the result of maintaining a table that was rolled back: nothing is done."""
    reason = "a rollback made an earlier snapshot current; the next load ends that state"
    return MaintenanceResult(files, files, skipped_because=reason)


def is_rolled_back(stored: IcebergTable) -> bool:
    """Return whether the current snapshot is another one than the newest."""
    current = stored.current_snapshot()
    newest = max(stored.snapshots(), key=_sequence_number, default=None)
    return newest is not None and (current is None or current.snapshot_id != newest.snapshot_id)


def seen_since(stored: IcebergTable, since: datetime) -> set[int]:
    """Return the ids of the snapshots that were committed or current at any time since a timestamp."""
    since_ms = since.timestamp() * 1000
    log = stored.history()
    current_then = [entry.snapshot_id for entry in log if entry.timestamp_ms <= since_ms][-1:]
    return {
        *current_then,
        *(entry.snapshot_id for entry in log if entry.timestamp_ms >= since_ms),
        *(snapshot.snapshot_id for snapshot in stored.snapshots() if snapshot.timestamp_ms >= since_ms),
        *(reference.snapshot_id for reference in stored.metadata.refs.values()),
    }


def ancestry(stored: IcebergTable) -> Iterator[IcebergSnapshot]:
    """Yield the current snapshot and its ancestors, newest first, as far as they have not expired."""
    snapshot = stored.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = stored.metadata.snapshot_by_id(parent) if parent is not None else None


def needed_files(stored: IcebergTable) -> set[str]:
    """Return the addresses of all files that any snapshot or the current metadata refers to."""
    needed = {stored.metadata_location, *(entry.metadata_file for entry in stored.metadata.metadata_log)}
    read: set[str] = set()
    for snapshot in stored.snapshots():
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(stored.io):
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                needed |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(stored.io)}
    return needed | read


def require_known(table: Table, stored: IcebergTable | None, snapshot_id: int) -> None:
    """Check that a table has a snapshot.

    Raises:
        UnknownSnapshot: it does not; the message lists the snapshots that the table has.
        SnapshotExpired: the same, and snapshots of the table have expired, perhaps this one.
    """
    snapshots = _published(stored) if stored is not None else []
    if snapshot_id in {snapshot.snapshot_id for snapshot in snapshots}:
        return
    expired = ""
    # Each snapshot takes the next sequence number, so the missing numbers belong to expired snapshots.
    if stored is not None and len(stored.snapshots()) < max(map(_sequence_number, stored.snapshots()), default=0):
        oldest = min(map(committed_at, stored.snapshots()))
        expired = f" (snapshots have expired; the oldest one left is of {oldest:%Y-%m-%d %H:%M:%S} UTC)"
    known = ", ".join(str(snapshot.snapshot_id) for snapshot in snapshots) or "none"
    error = SnapshotExpired if expired else UnknownSnapshot
    raise error(f"{table.full_name} has no snapshot {snapshot_id}{expired}; it has: {known}")


def _published(stored: IcebergTable) -> Sequence[IcebergSnapshot]:
    return [snapshot for snapshot in stored.snapshots() if not is_empty_start(snapshot)]


def _sequence_number(snapshot: IcebergSnapshot) -> int:
    return snapshot.sequence_number or 0
