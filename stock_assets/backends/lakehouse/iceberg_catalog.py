"""Published tables in the Glue catalog: create, add columns, compare with the contract, list snapshots, roll back.

Belongs here: reading Iceberg metadata without a statement, and the statements that create a table or add columns. Does
not belong here: rows (`sql_session`).
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiceberg.catalog import METADATA_LOCATION
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

from stock_assets.backends.interface import MAINTENANCE, Snapshot
from stock_assets.backends.lakehouse.aws_session import AwsAccess, role_credentials, typed_errors
from stock_assets.backends.lakehouse.ddl import STORED_TYPES
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.snapshots import history, is_rolled_back, roll_back
from stock_assets.core.errors import QueryFailed, ServiceUnavailable, TableDrift
from stock_assets.core.retry import retrying
from stock_assets.core.sql import Name
from stock_assets.core.tables import Column, ColumnType, Table, added_columns

_ATTEMPTS = 10
_LONGEST_PAUSE_SECONDS = 2.0
_SECONDS_UNTIL_CREATED = 15.0
_PAUSE_SECONDS = 0.2
_ICEBERG_TYPES = {**STORED_TYPES, ColumnType.INTEGER: "long"}
CONTRACT_TYPES = {stored: of for of, stored in STORED_TYPES.items()}


@dataclass(frozen=True)
class Databases:
    """Names of the Glue databases, one for each stage of the data path."""

    raw: str
    staged: str
    published: str

    @classmethod
    def of(cls, stem: str) -> "Databases":
        """Return the names that start with a stem."""
        return cls(f"{stem}_raw", f"{stem}_staged", f"{stem}_published")


class IcebergCatalog:
    """The Iceberg tables of the Glue catalog."""

    def __init__(self, access: AwsAccess, objects: S3Objects, databases: Databases, engine: SqlEngine) -> None:
        self._access = access
        self._objects = objects
        self._databases = databases
        self._engine = engine
        self._read: dict[str, tuple[TableMetadata, str]] = {}
        """Metadata and metadata file of each published table; a metadata file never changes."""

    def published(self, table: Table) -> IcebergTable:
        """Load a published table; create it, or add the columns that are new in its contract, where needed.

        Raises:
            TableDrift: the stored table contradicts the contract.
        """
        stored = self.stored(table)
        if stored is None:
            self._create(table)
            stored = self.existing(self._databases.published, table.name)
        _reject_drift(table, stored.schema())
        added = added_columns(table, stored.schema().column_names)
        return self._add_columns(table, added) if added else stored

    def readable(self, table: Table) -> IcebergTable | None:
        """Load a published table to read it, or None if it does not exist; nothing is created or added.

        Raises:
            TableDrift: the stored table contradicts the contract.
        """
        stored = self.stored(table)
        if stored is not None:
            _reject_drift(table, stored.schema())
        return stored

    def stored(self, table: Table) -> IcebergTable | None:
        """Load a published table as it is, or None if it does not exist; no statement is sent."""
        return self.find(self._databases.published, table.name)

    def find(self, database: str, name: str) -> IcebergTable | None:
        """Load an Iceberg table, or None if it does not exist; read the metadata file of a published table once."""
        catalog, key = self._glue_catalog(), (database, name)
        with typed_errors(f"reading the metadata of {database}.{name}"):
            if name in self._read and database == self._databases.published:
                metadata, file = self._read[name]
                entry = Glue(self._access).table(database, name)
                if entry is not None and entry.get("Parameters", {}).get(METADATA_LOCATION) == file:
                    file_io = load_file_io({**catalog.properties, **metadata.properties}, file)
                    return IcebergTable(key, metadata, file, file_io, catalog)
            try:
                found = catalog.load_table(key)
            except NoSuchTableError:
                return None
        if database == self._databases.published:
            self._read[name] = found.metadata, found.metadata_location
        return found

    def existing(self, database: str, name: str) -> IcebergTable:
        """Load an Iceberg table that has just been created.

        Raises:
            ServiceUnavailable: the catalog does not list the table.
        """
        stored = self.find(database, name)
        if stored is None:
            raise ServiceUnavailable(f"{database}.{name} was just created and is not in the Glue catalog yet")
        return stored

    def history(self, table: Table) -> list[Snapshot]:
        """List the snapshots, newest first, with the properties that the publishing loads recorded."""
        recorded = self._recorded(table)[0]
        stored = self.readable(table)
        if stored is None:
            return []
        return history(
            stored,
            lambda snapshot: recorded.get(str(snapshot.snapshot_id), _default_properties(snapshot)),
        )

    def is_rolled_back(self, table: Table) -> bool:
        """Return whether a later snapshot than the current one exists; the recorded properties are not read."""
        stored = self.readable(table)
        return stored is not None and is_rolled_back(stored)

    def properties(self, table: Table, snapshot_id: int) -> Mapping[str, str]:
        """Return the recorded properties of a snapshot."""
        return self._recorded(table)[0].get(str(snapshot_id), {})

    def record_properties(
        self, table: Table, snapshot_id: int, properties: Mapping[str, str], *, kept: Sequence[int]
    ) -> None:
        """Record the properties of a snapshot in an object: Athena cannot write them into the table.

        Args:
            table: a published table.
            snapshot_id: the new snapshot.
            properties: what the load, or maintenance, states about the snapshot.
            kept: snapshots that the table still has; the properties of others are removed.
        """
        key = _properties_key(table)
        wanted = {str(number) for number in kept}

        def attempt() -> None:
            recorded, etag = self._recorded(table)
            recorded = {number: found for number, found in recorded.items() if number in wanted}
            recorded[str(snapshot_id)] = dict(properties)
            if not self._objects.put_if(key, json.dumps(recorded).encode(), etag=etag):
                raise _ChangedMeanwhile

        policy = retrying(attempts=_ATTEMPTS, longest_seconds=_LONGEST_PAUSE_SECONDS, on=_ChangedMeanwhile)
        try:
            policy(attempt)
        except _ChangedMeanwhile as error:
            raise ServiceUnavailable(
                f"{self._objects.uri(key)} was not written: other writers changed it first in {_ATTEMPTS} attempts"
            ) from error

    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Point the main branch at a snapshot; Athena has no statement for that, so the metadata is written here.

        Raises:
            UnknownSnapshot: the table never had this snapshot, or it has expired.
            ConcurrentPublish: other writers committed first in every attempt.
        """
        with typed_errors(f"rolling {table.full_name} back"):
            roll_back(table, lambda: self.published(table), snapshot_id)

    def _create(self, table: Table) -> None:
        Glue(self._access).create_database(self._databases.published)
        location = self._objects.uri(f"{table.schema}/{table.name}/")
        try:
            self._engine.run(self._engine.ddl.published_table(self.name(table), table.columns, location))
        except QueryFailed:
            # If several processes create the table at once, the engine rejects all but the first: at the catalog, or
            # at the folder, which contains the first one's files shortly before the catalog contains its table.
            deadline = time.monotonic() + _SECONDS_UNTIL_CREATED
            while self.find(self._databases.published, table.name) is None:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def name(self, table: Table) -> Name:
        """Return the name of a published table in the catalog."""
        return Name(f"{self._databases.published}.{table.name}")

    def _add_columns(self, table: Table, added: Sequence[Column]) -> IcebergTable:
        try:
            for statement in self._engine.ddl.add_columns(self.name(table), added):
                self._engine.run(statement)
        except QueryFailed:
            # Another process may have added them first.
            current = self.find(self._databases.published, table.name)
            if current is None or {column.name for column in added} - {field.name for field in current.schema().fields}:
                raise
            return current
        return self.existing(self._databases.published, table.name)

    def _recorded(self, table: Table) -> tuple[dict[str, dict[str, str]], str | None]:
        try:
            body, etag = self._objects.get_version(_properties_key(table))
        except KeyError:
            return {}, None
        return json.loads(body), etag

    def _glue_catalog(self) -> GlueCatalog:
        properties = {"s3.region": self._access.region}
        if self._access.endpoint_url:
            properties["s3.endpoint"] = self._access.endpoint_url
        # Role credentials are read for each catalog, so that a catalog never holds expired ones; pyiceberg reads table
        # files with the same role as everything else.
        properties |= {f"s3.{name}": value for name, value in role_credentials(self._access).items()}
        return GlueCatalog("glue", client=self._access.client("glue"), **properties)


class _ChangedMeanwhile(Exception):
    """Another writer committed between a read and the write that depends on it."""


def is_compaction(snapshot: IcebergSnapshot) -> bool:
    """Return whether a snapshot has the rows of its parent in other files: OPTIMIZE commits such a snapshot."""
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def _default_properties(snapshot: IcebergSnapshot) -> dict[str, str]:
    """Return the properties of a snapshot that nobody recorded, as far as Iceberg's metadata shows them."""
    return {MAINTENANCE: "compaction"} if is_compaction(snapshot) else {}


def _reject_drift(table: Table, stored: Schema) -> None:
    """Reject stored columns that contradict the contract; if only columns are absent, they can be added."""
    found = {field.name: str(field.field_type) for field in stored.fields}
    declared = {column.name: _ICEBERG_TYPES[column.type] for column in table.columns}
    wrong = [
        f"{name}: declared {of}, found {found.get(name, 'nothing')}"
        for name, of in declared.items()
        if found.get(name) != of
    ]
    wrong += [f"{name}: not declared, found {of}" for name, of in found.items() if name not in declared]
    if any(declared.get(name) != of for name, of in found.items()):
        raise TableDrift(
            f"{table.full_name} differs from its declaration in stock_assets/core/tables.py: {'; '.join(wrong)}. Use "
            "the version of this package that created the table, or fix the table with ALTER; it is never dropped here"
        )


def _properties_key(table: Table) -> str:
    return f"history/{table.name}.json"
