"""Published tables in the catalog: made, grown, compared with their contract, looked back on, rolled back.

Belongs here: what Iceberg's metadata says, read without a statement, and the statements that make or grow a table.
Does not belong here: rows (`session`).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

from stock_assets.backends.interface import MAINTENANCE, Snapshot
from stock_assets.backends.lakehouse.aws_session import AwsAccess, role_credentials, typed_errors
from stock_assets.backends.lakehouse.ddl import STORED_TYPES
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.core.errors import ConcurrentPublish, QueryFailed, ServiceUnavailable, TableDrift, UnknownSnapshot
from stock_assets.core.sql import Name
from stock_assets.core.tables import Column, ColumnType, Table

_TRIES = 10
_SECONDS_UNTIL_MADE = 15.0
_PAUSE_SECONDS = 0.2
_ICEBERG_TYPES = {**STORED_TYPES, ColumnType.INTEGER: "long"}
CONTRACT_TYPES = {stored: of for of, stored in STORED_TYPES.items()}


@dataclass(frozen=True)
class Databases:
    """Names of the Glue databases, one for each step of the path."""

    raw: str
    staged: str
    published: str

    @classmethod
    def of(cls, stem: str) -> "Databases":
        """Name all three after one word."""
        return cls(f"{stem}_raw", f"{stem}_staged", f"{stem}_published")


class IcebergCatalog:
    """The Glue catalog as Iceberg sees it."""

    def __init__(self, access: AwsAccess, objects: S3Objects, databases: Databases, engine: SqlEngine) -> None:
        self._access = access
        self._objects = objects
        self._databases = databases
        self._engine = engine

    def published(self, table: Table) -> IcebergTable:
        """Load a published table; make it, or add the columns its contract gained, where needed.

        Raises:
            TableDrift: what is stored is not what the contract says.
        """
        stored = self.stored(table)
        if stored is None:
            self._create(table)
            stored = self.existing(self._databases.published, table.name)
        known = {field.name for field in stored.schema().fields}
        added = [column for column in table.columns if column.name not in known]
        if added:
            stored = self._grow(table, added)
        _refuse_drift(table, stored.schema())
        return stored

    def stored(self, table: Table) -> IcebergTable | None:
        """Load a published table as it is, or None if there is none; no statement is sent."""
        return self.find(self._databases.published, table.name)

    def find(self, database: str, name: str) -> IcebergTable | None:
        """Load an Iceberg table, or None."""
        with typed_errors(f"reading the metadata of {database}.{name}"):
            try:
                return self._glue_catalog().load_table((database, name))
            except NoSuchTableError:
                return None

    def existing(self, database: str, name: str) -> IcebergTable:
        """Load an Iceberg table that has just been made.

        Raises:
            ServiceUnavailable: the catalog does not have it.
        """
        stored = self.find(database, name)
        if stored is None:
            raise ServiceUnavailable(f"{database}.{name} was just made and is not in the Glue catalog yet")
        return stored

    def history(self, table: Table) -> list[Snapshot]:
        """List the snapshots, newest first, with what the publishing loads noted."""
        stored = self.published(table)
        current = stored.current_snapshot()
        if current is None:
            return []
        versions = [snapshot for snapshot in stored.snapshots() if not is_empty_start(snapshot)]
        notes = self._notes(table)[0]
        return [
            Snapshot(
                snapshot_id=snapshot.snapshot_id,
                committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
                rows=row_count(snapshot),
                properties=notes.get(str(snapshot.snapshot_id), _own_words(snapshot)),
                is_current=snapshot.snapshot_id == current.snapshot_id,
            )
            for snapshot in sorted(versions, key=lambda found: found.sequence_number or 0, reverse=True)
        ]

    def noted(self, table: Table, snapshot_id: int) -> Mapping[str, str]:
        """Read what was noted about a snapshot."""
        return self._notes(table)[0].get(str(snapshot_id), {})

    def note(self, table: Table, snapshot_id: int, properties: Mapping[str, str], *, kept: Sequence[int]) -> None:
        """Note what a load says about the snapshot it committed: Athena writes nothing of it into the table.

        Args:
            table: a published table.
            snapshot_id: the new snapshot.
            properties: what to note.
            kept: snapshots the table still has; the notes of others are dropped.
        """
        wanted = {str(number) for number in kept}
        for _ in range(_TRIES):
            notes, etag = self._notes(table)
            notes = {number: noted for number, noted in notes.items() if number in wanted}
            notes[str(snapshot_id)] = dict(properties)
            if self._objects.put_if(_note_key(table), json.dumps(notes).encode(), etag=etag):
                return
        raise ServiceUnavailable(f"{self._objects.uri(_note_key(table))}: others changed it first, {_TRIES} times")

    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Point the main branch at a snapshot; Athena has no statement for that, so the metadata is written here.

        Raises:
            UnknownSnapshot: the table has none with this id, or has it no more.
            ConcurrentPublish: others kept committing meanwhile.
        """
        for _ in range(_TRIES):
            stored = self.published(table)
            _refuse_unknown(table, stored, snapshot_id)
            with typed_errors(f"rolling {table.full_name} back"):
                try:
                    stored.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()
                except (CommitFailedException, ValueError):
                    # Others have published, or let the snapshot expire, since it was looked for (pyiceberg's
                    # ValueError).
                    continue
                return
        raise ConcurrentPublish(f"{table.full_name}: others committed in every attempt to roll back; try again")

    def _create(self, table: Table) -> None:
        Glue(self._access).create_database(self._databases.published)
        location = self._objects.uri(f"{table.schema}/{table.name}/")
        try:
            self._engine.run(self._engine.ddl.published_table(self.name(table), table.columns, location))
        except QueryFailed:
            # Of processes that meet here, the engine refuses all but the first: at the catalog, or at the folder, which
            # has the first one's files a moment before the catalog has its table.
            deadline = time.monotonic() + _SECONDS_UNTIL_MADE
            while self.find(self._databases.published, table.name) is None:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def name(self, table: Table) -> Name:
        """Give the name of a published table in the catalog."""
        return Name(f"{self._databases.published}.{table.name}")

    def _grow(self, table: Table, added: Sequence[Column]) -> IcebergTable:
        try:
            for statement in self._engine.ddl.add_columns(self.name(table), added):
                self._engine.run(statement)
        except QueryFailed:
            # Another process may have been faster.
            grown = self.find(self._databases.published, table.name)
            if grown is None or {column.name for column in added} - {field.name for field in grown.schema().fields}:
                raise
            return grown
        return self.existing(self._databases.published, table.name)

    def _notes(self, table: Table) -> tuple[dict[str, dict[str, str]], str | None]:
        try:
            body, etag = self._objects.get_version(_note_key(table))
        except KeyError:
            return {}, None
        return json.loads(body), etag

    def _glue_catalog(self) -> GlueCatalog:
        properties = {"s3.region": self._access.region}
        if self._access.endpoint_url:
            properties["s3.endpoint"] = self._access.endpoint_url
        # RequestResult for with each catalog, so that they never grow old in it; files are reached as everything else is.
        properties |= {f"s3.{name}": value for name, value in role_credentials(self._access).items()}
        return GlueCatalog("glue", client=self._access.client("glue"), **properties)


def is_empty_start(snapshot: IcebergSnapshot) -> bool:
    """Tell whether a snapshot is what Trino makes together with a table: it holds nothing, and nobody published it."""
    summary = snapshot.summary
    return snapshot.parent_snapshot_id is None and summary is not None and summary["total-data-files"] == "0"


def row_count(snapshot: IcebergSnapshot | None) -> int:
    """Count the rows of a version; Athena marks rows as deleted beside files that still hold them."""
    if snapshot is None or snapshot.summary is None:
        return 0
    deleted = snapshot.summary["total-position-deletes"] or 0
    return int(snapshot.summary["total-records"] or 0) - int(deleted)


def is_compaction(snapshot: IcebergSnapshot) -> bool:
    """Tell whether a version holds the rows of the one before in other files: Iceberg says so of OPTIMIZE's."""
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def _own_words(snapshot: IcebergSnapshot) -> dict[str, str]:
    """Say what Iceberg itself knows of a version that nobody has noted."""
    return {MAINTENANCE: "compaction"} if is_compaction(snapshot) else {}


def _refuse_unknown(table: Table, stored: IcebergTable, snapshot_id: int) -> None:
    versions = [snapshot for snapshot in stored.snapshots() if not is_empty_start(snapshot)]
    if snapshot_id in {snapshot.snapshot_id for snapshot in versions}:
        return
    expired = ""
    # Each version takes the next number.
    if len(stored.snapshots()) < max((snapshot.sequence_number or 0 for snapshot in stored.snapshots()), default=0):
        oldest = datetime.fromtimestamp(min(snapshot.timestamp_ms for snapshot in stored.snapshots()) / 1000, UTC)
        expired = f" (versions have expired; the oldest left is of {oldest:%Y-%m-%d %H:%M:%S} UTC)"
    known = ", ".join(str(snapshot.snapshot_id) for snapshot in versions) or "none"
    raise UnknownSnapshot(f"{table.full_name} has no snapshot {snapshot_id}{expired}; it has: {known}")


def _refuse_drift(table: Table, stored: Schema) -> None:
    found = {field.name: str(field.field_type) for field in stored.fields}
    declared = {column.name: _ICEBERG_TYPES[column.type] for column in table.columns}
    wrong = [
        f"{name}: declared {of}, found {found.get(name, 'nothing')}"
        for name, of in declared.items()
        if found.get(name) != of
    ]
    wrong += [f"{name}: not declared, found {of}" for name, of in found.items() if name not in declared]
    if wrong:
        raise TableDrift(
            f"{table.full_name} is not as stock_assets/core/tables.py declares it: {'; '.join(wrong)}. Use the version of "
            "this package that made the table, or mend the table by ALTER; it is never dropped here"
        )


def _note_key(table: Table) -> str:
    return f"history/{table.name}.json"
