"""Maintenance of one Iceberg table in the local catalog: compact, let versions expire, sweep up.

Belongs here: what pyiceberg 0.12 leaves to its users. Its `expire_snapshots` takes versions out of the metadata,
removes no file, and does not notice that another writer has moved the current version. Does not belong here: when
maintenance runs (`automation.upkeep`), or what a publish writes (`iceberg`).

Three steps, each whole by itself, so that a kill leaves nothing but work for the next time:

1. Several files of one partition become one, in one commit.
2. Versions that no reader has seen since a moment leave the metadata, in one commit.
3. Files that no version left needs are removed, if they are old enough.

A version is seen as long as it is the current one: a reader pins what is current when it begins. So whatever a reader
can be at stays as long as the versions do, and the third step removes only what nobody can reach.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files, bin_pack_arrow_table
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, TableProperties
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId, AssertTableUUID, RemoveSnapshotsUpdate, SetPropertiesUpdate

from stock_assets.backends.interface import MAINTENANCE, MaintenanceResult
from stock_assets.backends.local import iceberg
from stock_assets.backends.snapshots import is_rolled_back, needed_files, seen_since
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import Table

SAFE_AGE = timedelta(days=1)
"""A file of no version that is younger may belong to a publish that is about to commit it."""
_ATTEMPTS = 8
_ENDINGS = {"data": (".parquet",), "metadata": (".avro", ".metadata.json")}
"""Files that pyiceberg writes, by folder; any other is somebody else's and stays."""


def maintain(root: Path, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
    """Do all three steps; see `Warehouse.maintain`.

    Raises:
        ConcurrentPublish: other writers were faster in every attempt.
    """
    stored = iceberg.load(root, table)
    before = len(iceberg.data_files(stored))
    if is_rolled_back(stored):
        reason = "readers see an earlier version since a rollback; the next load ends that"
        return MaintenanceResult(before, before, skipped_because=reason)
    _until_committed(root, table, lambda fresh: _compact(fresh, table))
    expired = _until_committed(root, table, lambda fresh: _expire(fresh, keep_since))
    files, size = _sweep(root, table, at - SAFE_AGE)
    after = len(iceberg.data_files(iceberg.load(root, table)))
    return MaintenanceResult(before, after, snapshots_expired=expired, files_removed=files, bytes_freed=size)


def _until_committed(root: Path, table: Table, step: Callable[[IcebergTable], int]) -> int:
    """Do a step on the newest version, again if another writer has committed meanwhile."""
    for attempt in range(1, _ATTEMPTS + 1):
        fresh = iceberg.load(root, table)
        try:
            # Somebody may have gone back to an earlier version only now.
            return 0 if is_rolled_back(fresh) else step(fresh)
        except CommitFailedException as error:
            if attempt == _ATTEMPTS:
                raise ConcurrentPublish(
                    f"{table.full_name} was published again and again while it was maintained; maintain it later"
                ) from error
        time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 (jitter)
    raise AssertionError("unreachable")


def _compact(stored: IcebergTable, table: Table) -> int:
    """Write partitions of several files anew where that makes fewer; give how many."""
    replaced: list[DataFile] = []
    written: list[DataFile] = []
    rewritten = 0
    for tasks in _crowded(stored):
        rows = ArrowScan(stored.metadata, stored.io, stored.schema(), AlwaysTrue()).to_table(tasks)
        rows = rows.sort_by([(name, "ascending") for name in table.grain])
        if _files_needed(stored, rows) < len(tasks):
            replaced += [task.file for task in tasks]
            written += _dataframe_to_data_files(stored.metadata, rows, stored.io)
            rewritten += 1
    if not rewritten:
        return 0
    done = {MAINTENANCE: "compaction", "files_before": str(len(replaced)), "files_after": str(len(written))}
    iceberg.replace_files(stored, replaced, written, properties=done)
    return rewritten


def _crowded(stored: IcebergTable) -> list[list[FileScanTask]]:
    """List the files of each partition that has several; those laid out in another way stay as they are."""
    partitions: dict[str, list[FileScanTask]] = defaultdict(list)
    for task in stored.scan().plan_files():
        if task.file.spec_id == stored.spec().spec_id:
            partitions[str(task.file.partition)].append(task)
    return [partitions[name] for name in sorted(partitions) if len(partitions[name]) > 1]


def _files_needed(stored: IcebergTable, rows: pa.Table) -> int:
    """Count the files that pyiceberg will make of a partition: it splits large ones."""
    target = int(
        stored.properties.get(
            TableProperties.WRITE_TARGET_FILE_SIZE_BYTES, TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT
        )
    )
    return sum(1 for _ in bin_pack_arrow_table(rows, target)) if rows.num_rows else 1


def _expire(stored: IcebergTable, keep_since: datetime) -> int:
    """Take versions out of the metadata that were not current at any moment since; give how many."""
    current, seen = stored.current_snapshot(), seen_since(stored, keep_since)
    expired = [snapshot.snapshot_id for snapshot in stored.snapshots() if snapshot.snapshot_id not in seen]
    if current is None or not expired:
        return 0
    stored.catalog.commit_table(
        stored,
        requirements=(
            _AssertVersions(uuid=stored.metadata.table_uuid, snapshot_ids=expired),
            # What was seen is right only as long as nobody publishes or goes back.
            AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=current.snapshot_id),
        ),
        updates=(
            RemoveSnapshotsUpdate(snapshot_ids=expired),
            SetPropertiesUpdate(updates={iceberg.EXPIRED_BEFORE: keep_since.astimezone(UTC).isoformat()}),
        ),
    )
    return len(expired)


class _AssertVersions(AssertTableUUID):
    """The table must still have these versions; pyiceberg takes those that another maintenance took for a bad call."""

    snapshot_ids: list[int]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]  # pydantic's is another
        super().validate(base_metadata)
        present = {snapshot.snapshot_id for snapshot in base_metadata.snapshots} if base_metadata else set()
        if not present.issuperset(self.snapshot_ids):
            raise CommitFailedException("Requirement failed: another maintenance took versions out")


def _sweep(root: Path, table: Table, before: datetime) -> tuple[int, int]:
    """Remove files from before a moment that no version needs; give how many, and their bytes."""
    folder = Path(iceberg.path_of(iceberg.load(root, table).location()))
    old = dict(_written_before(folder, before))
    # What was committed while the folders were walked counts as needed.
    needed = {iceberg.path_of(address) for address in needed_files(iceberg.load(root, table))}
    unneeded = [file for file in old if str(file) not in needed]
    for file in unneeded:
        file.unlink(missing_ok=True)
    return len(unneeded), sum(old[file] for file in unneeded)


def _written_before(folder: Path, before: datetime) -> Iterator[tuple[Path, int]]:
    """List the files of both folders that lie there since before a moment, with their sizes."""
    for part, endings in _ENDINGS.items():
        for file in (folder / part).rglob("*"):
            try:
                stat = file.stat()
            except FileNotFoundError:
                # Whoever wrote it took it away again.
                continue
            # A copy that keeps the time of its original still shows when it came.
            if file.name.endswith(endings) and max(stat.st_mtime, stat.st_ctime) < before.timestamp():
                yield file, stat.st_size
