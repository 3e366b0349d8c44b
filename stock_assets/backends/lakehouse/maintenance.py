"""Maintenance of one published table by Athena's OPTIMIZE and VACUUM, or by what Trino has in their place.

Belongs here: whether there is anything to do, what VACUUM may take, and what came of it; all of it read from Iceberg's
metadata and the bucket's listing, so that a table with nothing to do is sent no statement. Does not belong here: when
maintenance runs (`automation.upkeep`), or how a statement is spelled and run (`ddl`,
`engine`).

Each statement commits by itself, and is repeated as long as Athena says that more runs are needed; so a kill leaves
nothing but work for the next time.

VACUUM goes by properties of the table. An age in seconds, counted back from when it runs, protects the versions from a
moment on; the number of versions to keep protects those that readers still saw at that moment, however old. The same
age holds for orphan files. As statements may wait and take long, and as a publish under way has files that no version
names yet, a day is added to it: nothing younger ever goes, and what could go may stay a day longer.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot

from stock_assets.backends.interface import MAINTENANCE, MaintenanceResult, ObjectEntry
from stock_assets.backends.lakehouse.ddl import FEWEST_DATA_FILES, SMALL_BYTES
from stock_assets.backends.lakehouse.iceberg_catalog import is_compaction
from stock_assets.backends.lakehouse.sql_session import COMMIT_CONFLICT, Parts
from stock_assets.backends.snapshots import (
    ancestry,
    is_rolled_back,
    maintain_newest,
    needed_files,
    seen_since,
    skipped_after_rollback,
)
from stock_assets.core.errors import QueryFailed
from stock_assets.core.tables import Table

SAFE_AGE = timedelta(days=1)
"""Longer than any statement waits and runs, and than any reader stays at one version."""
_MORE_RUNS = "_MORE_RUNS_NEEDED"
"""Ends Athena's word for it: a run takes 100 partitions or some thousand files, and what it has done stays done."""
_RUNS = 100
_LONGEST_PAUSE_SECONDS = 5.0
_ENDINGS = (".parquet", ".avro", ".metadata.json")
"""Files that Iceberg writes; for any other no VACUUM is sent."""


def maintain(parts: Parts, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
    """Do what there is to do; see `Warehouse.maintain`.

    Raises:
        ConcurrentPublish: other writers were faster in every attempt.
        QueryFailed: Athena failed; what it did before stays done.
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
    # Read from the bucket, not from what Athena says: it reports success also where it may not delete.
    gone = files.keys() - _files(parts, table).keys()
    versions = {snapshot.snapshot_id for snapshot in stored.snapshots()}
    return MaintenanceResult(
        before,
        after,
        snapshots_expired=len(versions - {snapshot.snapshot_id for snapshot in done.snapshots()}),
        files_removed=len(gone),
        bytes_freed=sum(files[file].size for file in gone),
    )


def files_read(stored: IcebergTable) -> int:
    """Count the files behind the current version: those of rows, and those that mark rows as deleted."""
    tasks = list(stored.scan().plan_files())
    return len(tasks) + len({file.file_path for task in tasks for file in task.delete_files})


def is_crowded(stored: IcebergTable) -> bool:
    """Tell whether a partition has several small files, or files with rows that are marked as deleted."""
    small: Counter[str] = Counter()
    for task in stored.scan().plan_files():
        if task.delete_files:
            return True
        small[f"{task.file.spec_id} {task.file.partition}"] += task.file.file_size_in_bytes < SMALL_BYTES
    return any(files >= FEWEST_DATA_FILES for files in small.values())


@dataclass(frozen=True)
class Retention:
    """What VACUUM is told to keep.

    Attributes:
        seconds: age up to which versions and orphan files stay.
        versions: how many of the newest versions stay, however old.
        versions_seconds: age that reaches back to the oldest of these.
        before: what is older than this moment goes, unless it is among the newest versions; ages are told in whole
            seconds, so what is older by less than one may wait for the next time.
        expiring: the versions that do.
    """

    seconds: int
    versions: int
    versions_seconds: int
    before: datetime
    expiring: frozenset[int]


def retention(stored: IcebergTable, *, keep_since: datetime, at: datetime) -> Retention:
    """Compute what to tell VACUUM, so that every version stays that readers have seen since a moment.

    It counts versions only along the line that led to the current one. One that is not on it, but was seen since (as
    somebody went back), stays by its age, and so does everything younger.
    """
    since = min(keep_since, at - SAFE_AGE)
    seen = seen_since(stored, since)
    line = list(ancestry(stored))
    on_line = [snapshot.snapshot_id for snapshot in line]
    versions = 1 + max(number for number, snapshot_id in enumerate(on_line) if snapshot_id in seen)
    aside = [_moment(snapshot) for snapshot in stored.snapshots() if snapshot.snapshot_id in seen - set(on_line)]
    before = min([since, *aside]) - SAFE_AGE
    oldest = min([before, *(_moment(snapshot) for snapshot in line[:versions])])
    kept = {*on_line[:versions], *(reference.snapshot_id for reference in stored.metadata.refs.values())}
    return Retention(
        seconds=math.ceil((at - before).total_seconds()),
        versions=versions,
        versions_seconds=math.ceil((at - oldest).total_seconds()) + 1,
        before=before,
        expiring=frozenset(
            snapshot.snapshot_id
            for snapshot in stored.snapshots()
            if _moment(snapshot) < before and snapshot.snapshot_id not in kept
        ),
    )


def _until_committed(parts: Parts, table: Table, step: Callable[[IcebergTable], bool]) -> bool:
    changed = maintain_newest(
        table,
        lambda: parts.catalog.published(table),
        step,
        is_conflict=lambda error: isinstance(error, QueryFailed) and COMMIT_CONFLICT in _reason(error),
        longest_seconds=_LONGEST_PAUSE_SECONDS,
    )
    return bool(changed)


def _compact(parts: Parts, table: Table, stored: IcebergTable) -> bool:
    current = stored.current_snapshot()
    if current is None or not is_crowded(stored):
        return False
    if MAINTENANCE in parts.catalog.noted(table, current.snapshot_id):
        # Athena may leave several files, and marks that no row needs any more; it would find nothing better.
        return False
    _send_to_the_end(parts, parts.engine.ddl.compact(parts.catalog.name(table)))
    done = parts.catalog.published(table)
    made = done.current_snapshot()
    if made is not None and is_compaction(made):
        kept = [snapshot.snapshot_id for snapshot in done.snapshots()]
        parts.catalog.note(table, made.snapshot_id, {MAINTENANCE: "compaction"}, kept=kept)
    return True


def _vacuum(parts: Parts, table: Table, stored: IcebergTable, *, keep_since: datetime, at: datetime) -> bool:
    told = retention(stored, keep_since=keep_since, at=at)
    if not told.expiring and not _has_orphans(parts, table, stored, told.before):
        return False
    statements = parts.engine.ddl.clean(
        parts.catalog.name(table),
        seconds=told.seconds,
        versions=told.versions,
        versions_seconds=told.versions_seconds,
    )
    _send_to_the_end(parts, statements)
    return True


def _has_orphans(parts: Parts, table: Table, stored: IcebergTable, before: datetime) -> bool:
    """Tell whether a file of Iceberg's lies there since before a moment that no version needs."""
    old = [file for file, entry in _files(parts, table).items() if entry.modified_at < before]
    candidates = {file for file in old if file.endswith(_ENDINGS)}
    return bool(candidates) and bool(candidates - needed_files(stored))


def _files(parts: Parts, table: Table) -> dict[str, ObjectEntry]:
    """List everything in the folder of a table, by address."""
    return {parts.objects.uri(entry.key): entry for entry in parts.objects.entries(f"{table.schema}/{table.name}/")}


def _send_to_the_end(parts: Parts, statements: Sequence[str]) -> None:
    """Send statements, each until Athena wants no more runs of it."""
    for text in statements:
        for number in range(1, _RUNS + 1):
            try:
                parts.engine.run(text)
            except QueryFailed as error:
                if _MORE_RUNS not in _reason(error) or number == _RUNS:
                    raise
            else:
                break


def _reason(error: QueryFailed) -> str:
    return str(error).partition("\n")[0]


def _moment(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)
