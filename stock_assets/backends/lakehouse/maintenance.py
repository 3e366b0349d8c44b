"""Maintenance of one published table with Athena's OPTIMIZE and VACUUM, or with Trino's equivalents.

Belongs here: whether there is work to do, what VACUUM may remove, and the result; all of it is read from Iceberg's
metadata and the bucket's listing, so no statement is sent for a table without work. Does not belong here: when
maintenance runs (`orchestration.jobs.maintenance`), the text of a statement (`ddl`), running it (`sql_engine`).

Each statement is a separate commit and is repeated while Athena reports that more runs are needed. So a killed
maintenance run leaves nothing but work for the next run.

VACUUM is controlled by table properties. An age in seconds, counted back from the time VACUUM runs, protects all
younger snapshots; the number of snapshots to keep protects the snapshots that consumers still saw at that age, however
old. The same age protects orphan files. Statements may queue and run long, and a publish that is still running has
files that no snapshot names yet. Therefore one day is added to the age: VACUUM never removes anything younger, and what
it could remove may stay one day longer.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.interface import MAINTENANCE, MaintenanceResult, ObjectEntry
from stock_assets.backends.lakehouse.ddl import FEWEST_DATA_FILES, SMALL_BYTES
from stock_assets.backends.lakehouse.iceberg_catalog import is_compaction
from stock_assets.backends.lakehouse.sql_session import LakehouseParts, is_commit_conflict
from stock_assets.backends.snapshots import (
    ancestry,
    committed_at,
    is_rolled_back,
    maintain_newest,
    needed_files,
    seen_since,
    skipped_after_rollback,
)
from stock_assets.core.errors import QueryFailed
from stock_assets.core.tables import Table

SAFE_AGE = timedelta(days=1)
"""Longer than any statement queues and runs, and longer than any consumer reads one snapshot."""
_MORE_RUNS = "_MORE_RUNS_NEEDED"
"""End of Athena's error code: a run handles 100 partitions or some thousand files, and its work is committed."""
_MOST_RUNS = 100
_LONGEST_PAUSE_SECONDS = 5.0
_ENDINGS = (".parquet", ".avro", ".metadata.json")
"""Endings of the files that Iceberg writes; other files are no reason to send VACUUM."""


def maintain(parts: LakehouseParts, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
    """Compact a table, expire snapshots and remove files where needed; see `Warehouse.maintain`.

    Raises:
        ConcurrentPublish: other writers committed first in every attempt.
        QueryFailed: a statement failed; the statements before it stay committed.
    """
    stored = parts.catalog.stored(table)
    if stored is None or stored.current_snapshot() is None:
        return MaintenanceResult()
    before = files_read(stored)
    if is_rolled_back(stored):
        return skipped_after_rollback(before)
    _until_committed(parts, table, lambda fresh: _compact(parts, table, fresh))
    files = _files(parts, table)
    vacuumed = _until_committed(parts, table, lambda fresh: _vacuum(parts, table, fresh, keep_since=keep_since, at=at))
    done = parts.catalog.published(table)
    after = files_read(done)
    if not vacuumed:
        return MaintenanceResult(before, after)
    # Read from the bucket, not from Athena's report: Athena reports success even if it may not delete.
    removed = files.keys() - _files(parts, table).keys()
    snapshots = {snapshot.snapshot_id for snapshot in stored.snapshots()}
    return MaintenanceResult(
        before,
        after,
        snapshots_expired=len(snapshots - {snapshot.snapshot_id for snapshot in done.snapshots()}),
        files_removed=len(removed),
        bytes_freed=sum(files[file].size for file in removed),
    )


def files_read(stored: IcebergTable) -> int:
    """Count the data files and delete files of the current snapshot."""
    tasks = list(stored.scan().plan_files())
    return len(tasks) + len({file.file_path for task in tasks for file in task.delete_files})


def is_crowded(stored: IcebergTable) -> bool:
    """Return whether a partition has several small files, or a file with deleted rows."""
    small: Counter[str] = Counter()
    for task in stored.scan().plan_files():
        if task.delete_files:
            return True
        small[f"{task.file.spec_id} {task.file.partition}"] += task.file.file_size_in_bytes < SMALL_BYTES
    return any(files >= FEWEST_DATA_FILES for files in small.values())


@dataclass(frozen=True)
class VacuumRetention:
    """The snapshots and files that VACUUM must keep.

    Attributes:
        seconds: snapshots and orphan files up to this age stay.
        snapshots: this many of the newest snapshots stay, however old.
        snapshots_seconds: age of the oldest of these snapshots.
        before: what is older than this timestamp is removed, unless it is among the newest snapshots; ages are whole
            seconds, so what is older by less than one second may stay until the next run.
        expiring: snapshots that VACUUM will expire.
    """

    seconds: int
    snapshots: int
    snapshots_seconds: int
    before: datetime
    expiring: frozenset[int]


def vacuum_retention(stored: IcebergTable, *, keep_since: datetime, at: datetime) -> VacuumRetention:
    """Compute the retention that keeps every snapshot that was current at or after `keep_since`.

    VACUUM counts only the ancestors of the current snapshot. A snapshot that was current since `keep_since` and is not
    an ancestor (the table was rolled back) is kept by its age, and so is everything younger.
    """
    since = min(keep_since, at - SAFE_AGE)
    seen = seen_since(stored, since)
    ancestors = list(ancestry(stored))
    ids = [snapshot.snapshot_id for snapshot in ancestors]
    newest = 1 + max(number for number, snapshot_id in enumerate(ids) if snapshot_id in seen)
    others = [committed_at(snapshot) for snapshot in stored.snapshots() if snapshot.snapshot_id in seen - set(ids)]
    before = min([since, *others]) - SAFE_AGE
    oldest = min([before, *(committed_at(snapshot) for snapshot in ancestors[:newest])])
    kept = {*ids[:newest], *(reference.snapshot_id for reference in stored.metadata.refs.values())}
    return VacuumRetention(
        seconds=math.ceil((at - before).total_seconds()),
        snapshots=newest,
        snapshots_seconds=math.ceil((at - oldest).total_seconds()) + 1,
        before=before,
        expiring=frozenset(
            snapshot.snapshot_id
            for snapshot in stored.snapshots()
            if committed_at(snapshot) < before and snapshot.snapshot_id not in kept
        ),
    )


def _until_committed(parts: LakehouseParts, table: Table, step: Callable[[IcebergTable], bool]) -> bool:
    """Run a step on the newest snapshot, again if another writer commits first; return whether it changed anything.

    Raises:
        ConcurrentPublish: other writers committed first in every attempt.
    """
    changed = maintain_newest(
        table,
        lambda: parts.catalog.published(table),
        step,
        is_conflict=is_commit_conflict,
        longest_seconds=_LONGEST_PAUSE_SECONDS,
    )
    return bool(changed)


def _compact(parts: LakehouseParts, table: Table, stored: IcebergTable) -> bool:
    current = stored.current_snapshot()
    if current is None or not is_crowded(stored):
        return False
    if MAINTENANCE in parts.catalog.properties(table, current.snapshot_id):
        # Athena may leave several files, and delete files that no row needs; compacting again would not change that.
        return False
    _send_to_the_end(parts, parts.engine.ddl.compact(parts.catalog.name(table)))
    done = parts.catalog.published(table)
    made = done.current_snapshot()
    if made is not None and is_compaction(made):
        kept = [snapshot.snapshot_id for snapshot in done.snapshots()]
        parts.catalog.record_properties(table, made.snapshot_id, {MAINTENANCE: "compaction"}, kept=kept)
    return True


def _vacuum(parts: LakehouseParts, table: Table, stored: IcebergTable, *, keep_since: datetime, at: datetime) -> bool:
    keep = vacuum_retention(stored, keep_since=keep_since, at=at)
    if not keep.expiring and not _has_orphans(parts, table, stored, keep.before):
        return False
    statements = parts.engine.ddl.vacuum(
        parts.catalog.name(table),
        seconds=keep.seconds,
        snapshots=keep.snapshots,
        snapshots_seconds=keep.snapshots_seconds,
    )
    _send_to_the_end(parts, statements)
    return True


def _has_orphans(parts: LakehouseParts, table: Table, stored: IcebergTable, before: datetime) -> bool:
    """Return whether the folder contains an Iceberg file that is older than `before` and that no snapshot needs."""
    old = [file for file, entry in _files(parts, table).items() if entry.modified_at < before]
    candidates = {file for file in old if file.endswith(_ENDINGS)}
    return bool(candidates) and bool(candidates - needed_files(stored))


def _files(parts: LakehouseParts, table: Table) -> dict[str, ObjectEntry]:
    """List everything in the folder of a table, by address."""
    return {parts.objects.uri(entry.key): entry for entry in parts.objects.entries(f"{table.schema}/{table.name}/")}


def _send_to_the_end(parts: LakehouseParts, statements: Sequence[str]) -> None:
    """Send each statement until Athena reports that no more runs are needed."""
    for text in statements:
        for number in range(1, _MOST_RUNS + 1):
            try:
                parts.engine.run(text)
            except QueryFailed as error:
                if _MORE_RUNS not in _reason(error) or number == _MOST_RUNS:
                    raise
            else:
                break


def _reason(error: QueryFailed) -> str:
    return str(error).partition("\n")[0]
