"""Published tables in the catalog: made, grown, compared with their contract, looked back on, rolled back.

Belongs here: what Iceberg's metadata says, read without a statement, and the statements that make or grow a table.
Does not belong here: rows (`session`).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchTableError
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
from stock_assets.backends.snapshots import history, roll_back
from stock_assets.core.errors import QueryFailed, ServiceUnavailable, TableDrift
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
        notes = self._notes(table)[0]
        return history(
            self.published(table),
            lambda snapshot: notes.get(str(snapshot.snapshot_id), _own_properties(snapshot)),
        )

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
        with typed_errors(f"rolling {table.full_name} back"):
            roll_back(table, lambda: self.published(table), snapshot_id)

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


def is_compaction(snapshot: IcebergSnapshot) -> bool:
    """Tell whether a version holds the rows of the one before in other files: Iceberg says so of OPTIMIZE's."""
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def _own_properties(snapshot: IcebergSnapshot) -> dict[str, str]:
    """Return what Iceberg itself records about a snapshot without a note."""
    return {MAINTENANCE: "compaction"} if is_compaction(snapshot) else {}


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
