"""Maintenance of one Iceberg table in the local catalog: compact, expire snapshots, remove files.

Belongs here: what pyiceberg 0.12 leaves to its users. Its `expire_snapshots` removes snapshots from the metadata,
removes no file, and does not notice that another writer has changed the current snapshot. Does not belong here: when
maintenance runs (`orchestration`), writing compacted files (`replacement`).

Three independent steps, so that a kill only leaves work for the next time:

1. Several files of one partition are compacted into one, in one commit.
2. Snapshots that have not been current since a timestamp are removed from the metadata, in one commit.
3. Files that no remaining snapshot needs are removed, if they are old enough.

A process that reads pins the snapshot that is current when the process begins. So every file that a process may be
reading stays as long as its snapshot does, and the third step removes only files that no process can reach.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, RemoveSnapshotsUpdate

from stock_assets.backends.interface import MAINTENANCE, MaintenanceResult
from stock_assets.backends.local import iceberg
from stock_assets.backends.local.objects import written_at
from stock_assets.backends.local.replacement import compact
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.local.table_reader import data_files
from stock_assets.backends.snapshots import (
    is_rolled_back,
    maintain_newest,
    needed_files,
    seen_since,
    skipped_after_rollback,
)
from stock_assets.core.tables import Table

SAFE_AGE = timedelta(days=1)
"""Age at which a file without a snapshot is removed; a younger file may belong to a publish that will commit it."""
_LONGEST_PAUSE_SECONDS = 15.0
_ENDINGS = {"data": (".parquet",), "metadata": (".avro", ".metadata.json")}
"""Files that pyiceberg writes, by folder; other files were not written by pyiceberg and stay."""


def maintain(
    connection: duckdb.DuckDBPyConnection, root: Path, table: Table, *, keep_since: datetime, at: datetime
) -> MaintenanceResult:
    """Run all three steps; see `Warehouse.maintain`. The connection sorts the rows of compacted files.

    Raises:
        ConcurrentPublish: other writers committed first in every attempt.
    """
    stored = iceberg.find(root, table)
    if stored is None:
        return MaintenanceResult()
    before = len(data_files(stored))
    if is_rolled_back(stored):
        return skipped_after_rollback(before)
    _until_committed(root, table, lambda newest: _compact(connection, newest, table))
    expired = _until_committed(root, table, lambda newest: _expire(newest, keep_since))
    files, size = _remove_files(root, table, at - SAFE_AGE)
    after = len(data_files(iceberg.load(root, table)))
    return MaintenanceResult(before, after, snapshots_expired=expired, files_removed=files, bytes_freed=size)


def _until_committed(root: Path, table: Table, step: Callable[[IcebergTable], int]) -> int:
    return maintain_newest(
        table,
        lambda: iceberg.load(root, table),
        step,
        is_conflict=lambda error: isinstance(error, CommitFailedException),
        longest_seconds=_LONGEST_PAUSE_SECONDS,
    )


def _compact(connection: duckdb.DuckDBPyConnection, stored: IcebergTable, table: Table) -> int:
    """Rewrite the partitions that have several files; return how many they are."""
    if set(stored.schema().column_names) - set(table.column_names):
        # Files are written with the columns of the contract: the column of another program would lose its values.
        return 0
    crowded = _crowded(stored)
    files = [file for partition in crowded for file in partition]
    if files:
        compact(connection, stored, table, files, {MAINTENANCE: "compaction", "files_before": str(len(files))})
    return len(crowded)


def _crowded(stored: IcebergTable) -> list[list[DataFile]]:
    """Return the files of each partition that has several; files of an earlier partition layout stay unchanged."""
    partitions: dict[str, list[DataFile]] = defaultdict(list)
    for task in stored.scan().plan_files():
        if task.file.spec_id == stored.spec().spec_id:
            partitions[str(task.file.partition)].append(task.file)
    return [files for files in partitions.values() if len(files) > 1]


def _expire(stored: IcebergTable, keep_since: datetime) -> int:
    """Remove snapshots from the metadata that have not been current since a timestamp; return how many."""
    current, seen = stored.current_snapshot(), seen_since(stored, keep_since)
    expired = [snapshot.snapshot_id for snapshot in stored.snapshots() if snapshot.snapshot_id not in seen]
    if current is None or not expired:
        return 0
    stored.catalog.commit_table(
        stored,
        requirements=(
            _AssertSnapshots(uuid=stored.metadata.table_uuid, snapshot_ids=expired),
            # `seen` stays correct only as long as no process publishes or rolls back.
            AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=current.snapshot_id),
        ),
        updates=(RemoveSnapshotsUpdate(snapshot_ids=expired),),
    )
    return len(expired)


class _AssertSnapshots(AssertTableUUID):
    """The table must still have these snapshots; otherwise pyiceberg reports expired snapshots as invalid arguments."""

    snapshot_ids: list[int]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]  # pydantic's `validate` has another signature
        super().validate(base_metadata)
        present = {snapshot.snapshot_id for snapshot in base_metadata.snapshots} if base_metadata else set()
        if not present.issuperset(self.snapshot_ids):
            raise CommitFailedException("Requirement failed: another process has expired the snapshots")


def _remove_files(root: Path, table: Table, before: datetime) -> tuple[int, int]:
    """Remove files written before a timestamp that no snapshot needs; return their number and size in bytes."""
    folder = Path(path_of(iceberg.load(root, table).location()))
    old = dict(_written_before(folder, before))
    # Loaded again: files committed while the folders were listed count as needed.
    needed = {path_of(address) for address in needed_files(iceberg.load(root, table))}
    unneeded = [file for file in old if str(file) not in needed]
    for file in unneeded:
        file.unlink(missing_ok=True)
    return len(unneeded), sum(old[file] for file in unneeded)


def _written_before(folder: Path, before: datetime) -> Iterator[tuple[Path, int]]:
    """Yield the files of both folders that were written before a timestamp, with their sizes."""
    for part, endings in _ENDINGS.items():
        for file in (folder / part).rglob("*"):
            try:
                stat = file.stat()
            except FileNotFoundError:
                # The process that wrote the file has removed it.
                continue
            if file.name.endswith(endings) and written_at(stat) < before.timestamp():
                yield file, stat.st_size
