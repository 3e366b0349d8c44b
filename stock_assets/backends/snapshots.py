"""What Iceberg's metadata says of the versions of a table, whatever catalog it lies in.

Belongs here: questions that the maintenance of every backend asks. Does not belong here: changing anything.
"""

from collections.abc import Iterator
from datetime import datetime

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot


def is_rolled_back(stored: IcebergTable) -> bool:
    """Tell whether readers see another version than the one committed last."""
    current = stored.current_snapshot()
    newest = max(stored.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0, default=None)
    return newest is not None and (current is None or current.snapshot_id != newest.snapshot_id)


def seen_since(stored: IcebergTable, since: datetime) -> set[int]:
    """Name the versions that were committed or current at any moment since."""
    moment = since.timestamp() * 1000
    log = stored.history()
    at_the_moment = [entry.snapshot_id for entry in log if entry.timestamp_ms <= moment][-1:]
    return {
        *at_the_moment,
        *(entry.snapshot_id for entry in log if entry.timestamp_ms >= moment),
        *(snapshot.snapshot_id for snapshot in stored.snapshots() if snapshot.timestamp_ms >= moment),
        *(reference.snapshot_id for reference in stored.metadata.refs.values()),
    }


def ancestry(stored: IcebergTable) -> Iterator[Snapshot]:
    """Give the current version and those it came from, newest first, as far as they have not expired."""
    snapshot = stored.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = stored.metadata.snapshot_by_id(parent) if parent is not None else None


def needed_files(stored: IcebergTable) -> set[str]:
    """List the addresses of all that a version leads to, and the earlier metadata that the current one names."""
    needed = {stored.metadata_location, *(entry.metadata_file for entry in stored.metadata.metadata_log)}
    read: set[str] = set()
    for snapshot in stored.snapshots():
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(stored.io):
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                needed |= {entry.data_file.file_path for entry in manifest.fetch_manifest_entry(stored.io)}
    return needed | read
