"""The emulated OPTIMIZE, VACUUM and table properties of Athena, over real Iceberg tables.

Belongs here: the effect of these statements according to Athena's documentation. Does not belong here: parsing
statements (`engine`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import FileScanTask
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate
from pyiceberg.typedef import EMPTY_DICT

from stock_assets.backends.pyiceberg_internals import OverwriteFiles, dataframe_to_data_files
from stock_assets.backends.snapshots import ancestry, needed_files

DEFAULTS = {
    "optimize_rewrite_data_file_threshold": 5,
    "optimize_rewrite_delete_file_threshold": 2,
    "optimize_rewrite_min_data_file_size_bytes": 402_653_184,
    "vacuum_max_snapshot_age_seconds": 432_000,
    "vacuum_min_snapshots_to_keep": 1,
    "vacuum_max_metadata_files_to_keep": 100,
}
"""Properties that Athena accepts, with their defaults; it rejects all others."""


class RejectedProperty(Exception):
    """A property that Athena does not know, or a value that it does not accept."""


class MoreRunsNeeded(Exception):
    """A run has reached its limit, and there is more work."""


def set_properties(table: IcebergTable, properties: Mapping[str, str]) -> None:
    """Change properties of a table."""
    for name, value in properties.items():
        if name not in DEFAULTS:
            raise RejectedProperty(f"Unsupported table property key: {name}")
        if not value.isdigit() or (name.endswith("_threshold") and not 0 < int(value) < 50):
            raise RejectedProperty(f"Invalid value for {name}: {value}")
    with table.transaction() as transaction:
        transaction.set_properties(dict(properties))


def optimize(table: IcebergTable, *, most_partitions: int) -> int:
    """Rewrite partitions with enough small files or enough delete files; return the bytes read.

    Raises:
        MoreRunsNeeded: there are more partitions than one run rewrites; the first ones are done.
    """
    partitions: dict[str, list[FileScanTask]] = defaultdict(list)
    for task in table.scan().plan_files():
        partitions[str(task.file.partition)].append(task)
    chosen = [tasks for tasks in partitions.values() if _is_worth_it(table, tasks)]
    tasks = [task for of_one in chosen[:most_partitions] for task in of_one]
    if tasks:
        _rewrite(table, tasks)
    if len(chosen) > most_partitions:
        raise MoreRunsNeeded(
            f"ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED: Processed {most_partitions} partitions in this round of optimization, "
            "but there are more partitions remaining."
        )
    return sum(task.file.file_size_in_bytes for task in tasks)


def vacuum(table: IcebergTable, objects: "Folder", *, now: datetime, most_files: int) -> None:
    """Expire old snapshots and remove the files that no snapshot needs.

    Raises:
        MoreRunsNeeded: there are more files than one run removes; the first ones are removed.
    """
    age = timedelta(seconds=_property(table, "vacuum_max_snapshot_age_seconds"))
    reachable = needed_files(table)
    _expire(table, now - age)
    table.refresh()
    needed = needed_files(table)
    unreachable = reachable - needed
    orphans = {file for file, modified_at in objects.listed().items() if file not in needed and modified_at < now - age}
    removable = sorted(unreachable | orphans)
    objects.remove(removable[:most_files])
    if len(removable) > most_files:
        raise MoreRunsNeeded(
            f"ICEBERG_VACUUM_MORE_RUNS_NEEDED: Removed {most_files} files in this round of vacuum, but there are more "
            "files remaining. Please run another VACUUM command to process the remaining files"
        )


class Folder:
    """The files of one table.

    Attributes:
        listed: returns when each file was written.
        remove: removes files.
    """

    def __init__(self, listed: Callable[[], dict[str, datetime]], remove: Callable[[Iterable[str]], None]) -> None:
        self.listed = listed
        self.remove = remove


def _property(table: IcebergTable, name: str) -> int:
    return int(table.properties.get(name, DEFAULTS[name]))


def _is_worth_it(table: IcebergTable, tasks: list[FileScanTask]) -> bool:
    smallest = _property(table, "optimize_rewrite_min_data_file_size_bytes")
    small = sum(task.file.file_size_in_bytes < smallest for task in tasks)
    return small >= _property(table, "optimize_rewrite_data_file_threshold") or any(
        len(task.delete_files) >= _property(table, "optimize_rewrite_delete_file_threshold") for task in tasks
    )


class _Rewrite(OverwriteFiles):
    """Replace files by others with the same rows; delete files are dropped, since all have been applied."""

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        return [manifest for manifest in manifests if manifest.content is ManifestContent.DATA]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        overwrite = super()._summary(snapshot_properties)
        totals = dict(overwrite.additional_properties)
        # All remaining rows and no delete files: the deleted rows are not in the new files.
        totals["total-records"] = str(sum(file.record_count for file in self._left()))
        totals |= {"total-delete-files": "0", "total-position-deletes": "0"}
        return Summary(Operation.REPLACE, **totals)

    def _left(self) -> list[DataFile]:
        kept = [task.file for task in self._transaction._table.scan().plan_files()]  # noqa: SLF001 (as its own classes do)
        return [*(file for file in kept if file not in self._deleted_data_files), *self._added_data_files]


def _rewrite(table: IcebergTable, tasks: list[FileScanTask]) -> None:
    rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(tasks)
    with table.transaction() as transaction:
        written = list(dataframe_to_data_files(transaction.table_metadata, rows, table.io)) if rows.num_rows else []
        with _Rewrite(Operation.OVERWRITE, transaction, table.io) as snapshot:
            for task in tasks:
                snapshot.delete_data_file(task.file)
            for file in written:
                snapshot.append_data_file(file)


def _expire(table: IcebergTable, before: datetime) -> None:
    """Expire older snapshots, except the newest of the main branch and those that references name."""
    newest = [snapshot.snapshot_id for snapshot in ancestry(table)]
    kept = {
        *newest[: _property(table, "vacuum_min_snapshots_to_keep")],
        *(reference.snapshot_id for reference in table.metadata.refs.values()),
    }
    expired = [
        snapshot.snapshot_id
        for snapshot in table.snapshots()
        if snapshot.snapshot_id not in kept and _committed_at(snapshot) < before
    ]
    if not expired:
        return
    current = table.current_snapshot()
    if current is None:
        raise CommitFailedException("the table has lost its current snapshot")
    table.catalog.commit_table(
        table,
        requirements=(AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=current.snapshot_id),),
        updates=(RemoveSnapshotsUpdate(snapshot_ids=expired),),
    )


def _committed_at(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
