"""The SQL connection of one step on Athena or Trino: staging tables of one load, one snapshot of each published table.

Belongs here: resolving the names in statements, staging, and the MERGE that publishes. Does not belong here: running a
statement (`sql_engine`), Iceberg metadata (`iceberg_catalog`).
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from secrets import token_hex

import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.digests import inputs_digest
from stock_assets.backends.interface import Digests, Fetch, SqlConnection
from stock_assets.backends.lakehouse.ddl import STORED_TYPES
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.iceberg_catalog import CONTRACT_TYPES, Databases, IcebergCatalog, is_compaction
from stock_assets.backends.lakehouse.inputs import InputStore
from stock_assets.backends.lakehouse.merge import CHANGED_SINCE, merge_statement
from stock_assets.backends.lakehouse.names import replace_names
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.lakehouse.responses import RAW_TABLE, RawResponses
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.snapshots import is_empty_start, row_count
from stock_assets.core.errors import ConcurrentPublish, QueryFailed
from stock_assets.core.queries import parse_query
from stock_assets.core.retry import retrying
from stock_assets.core.sql import Fragment, Name
from stock_assets.core.tables import ColumnType, Table

COMMIT_CONFLICT = "ICEBERG_COMMIT_ERROR"
"""Start of Athena's message when another writer has committed first."""
_COMMIT_ATTEMPTS = 5
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class LakehouseParts:
    """The services that all SQL connections of one warehouse share.

    Attributes:
        engine: runs statements.
        catalog: the published tables.
        glue: the catalog entries of staging tables.
        objects: the bucket.
        scratch: the folder of staging tables and inputs.
        databases: names of the Glue databases.
        ensure_raw: creates the table over the raw responses unless it exists.
    """

    engine: SqlEngine
    catalog: IcebergCatalog
    glue: Glue
    objects: S3Objects
    scratch: S3Objects
    databases: Databases
    ensure_raw: Callable[[], None]


class GlueConnection(SqlConnection):
    """Read published tables `FOR VERSION AS OF` the snapshot that was current when the connection was opened."""

    def __init__(
        self,
        parts: LakehouseParts,
        load_id: str,
        tables: Mapping[str, Table],
        published: Mapping[str, IcebergTable],
    ) -> None:
        self._parts = parts
        self._load_id = load_id
        self._tables = tables
        self._published = published
        self._staged: dict[str, str] | None = None
        self._inputs: dict[str, pa.Table] = {}
        self._written: dict[str, str] = {}
        token = token_hex(6)
        self._store = InputStore(
            parts.scratch,
            parts.glue,
            parts.databases.staged,
            folder=f"staged/inputs/{token}/",
            stem=f"input_{token}_",
            external=parts.engine.ddl.external,
        )
        self._responses: RawResponses | None = None
        self._uploaded = False

    def close(self) -> None:
        """Remove the input tables and files that belong to this connection only."""
        if not self._uploaded:
            return
        for table in self._parts.glue.tables(self._store.database, self._store.stem):
            self._parts.glue.delete(self._store.database, table["Name"])
        self._parts.scratch.delete_all(self._store.folder)

    def name(self, table: Table) -> Name:
        """Return the logical name; it is replaced when a statement is sent."""
        return Name(table.full_name)

    def actual_columns(self) -> Name:
        """Read the columns from the catalog, without a statement."""
        rows = [
            (name, column["Name"], str(CONTRACT_TYPES.get(column["Type"], column["Type"])))
            for name, stored in sorted(self._staging_tables().items())
            for column in self._columns(stored)
        ]
        names = ("table_name", "column_name", "data_type")
        return self.register(
            "actual_columns",
            pa.table({column: pa.array([row[i] for row in rows], pa.string()) for i, column in enumerate(names)}),
        )

    def register(self, relation: str, rows: pa.Table) -> Name:
        """Store the rows in memory; they are written when a statement names them."""
        if relation in self._inputs and not self._inputs[relation].equals(rows):
            self._written.pop(relation, None)
        self._inputs[relation] = rows
        return Name(f"input.{relation}")

    def register_responses(
        self,
        responses: Sequence[Fetch],
        *,
        first: date,  # noqa: ARG002 (statements read whole objects)
        last: date,  # noqa: ARG002 (as above)
    ) -> Name:
        """Store the addresses in memory; the relation is built when a statement names it."""
        uri = self._parts.objects.uri
        self._responses = RawResponses(
            uri("raw/daily_prices/"), tuple(uri(response.response_key) for response in responses)
        )
        return Name("raw.daily_prices")

    def create_view(self, name: str, select: str) -> Name:
        """Create or replace the view, unless the catalog already has it with this text."""
        view = Name(f"published.{name}")
        definition = replace_names(select, self._physical)
        key, digest = f"views/{name}.json", hashlib.sha256(definition.encode()).hexdigest()
        try:
            body, etag = self._parts.objects.get_version(key)
            known = json.loads(body)["sha256"]
        except KeyError:
            known, etag = "", None
        database = self._parts.databases.published
        if known != digest or self._parts.glue.table(database, name) is None:
            self._parts.engine.run(self._parts.engine.ddl.view(Name(f"{database}.{name}"), definition))
            self._parts.objects.put_if(key, json.dumps({"sha256": digest}).encode(), etag=etag)
        return view

    def restrict(self) -> None:
        """Change nothing: the engine reads only tables, and only the tables that its credentials allow."""

    def query(self, select: str) -> pa.Table:
        """Replace the names and run the SELECT; any other statement is rejected before it is sent."""
        parse_query(select)
        pinned = replace_names(select, self._pinned)
        if not self._reads_pinned_snapshots_only(select):
            return self._parts.engine.run(pinned)
        return self._parts.engine.run_cached(pinned)

    def _reads_pinned_snapshots_only(self, select: str) -> bool:
        """Return whether a query reads only pinned snapshots: a snapshot never changes, so its result never does."""
        named: set[tuple[str, str]] = set()
        replace_names(select, lambda schema, name: named.add((schema, name)))
        return bool(named) and all(schema == "published" and name in self._tables for schema, name in named)

    def stage(self, table: Table, select: str) -> int:
        """Create a table in a new folder, then drop the earlier table; a failed attempt leaves nothing behind."""
        attempt = f"{time.time_ns():016x}{token_hex(3)}"
        name = f"{staging_stem(self._load_id)}{table.name}__{attempt}"
        folder = f"{staging_folder(self._load_id)}{table.name}/{attempt}/"
        earlier = self._staging_tables().get(table.name)
        database = self._parts.databases.staged
        ctas = self._parts.engine.ddl.staging_table(
            Name(f"{database}.{name}"), self._parts.scratch.uri(folder), replace_names(select, self._pinned)
        )
        self._parts.glue.create_database(database)
        try:
            self._parts.engine.run(ctas)
            stored = self._parts.catalog.existing(database, name)
        except BaseException:
            self._parts.glue.delete(database, name)
            self._parts.scratch.delete_all(folder)
            raise
        if earlier is not None:
            self._parts.glue.delete(database, earlier)
            self._parts.scratch.delete_all(_folder_of(self._load_id, table.name, earlier))
        self._staging_tables()[table.name] = name
        return row_count(stored.current_snapshot())

    def digests(self) -> Digests:
        """Hash the ETags of the files of the staging tables, with one request."""
        scratch = self._parts.scratch
        # Digests are stored: another text would make every staged load a changed one.
        etags = [(scratch.key_in_bucket(key), etag) for key, etag in scratch.etags(staging_folder(self._load_id))]
        staging = hashlib.sha256(json.dumps([sorted(self._staging_tables().items()), etags]).encode())
        snapshots = {name: stored.metadata.current_snapshot_id for name, stored in self._published.items()}
        return Digests(staging.hexdigest(), inputs_digest(self._inputs, snapshots))

    def base(self, table: Table) -> int | None:
        """Return the snapshot that was current when the connection was opened."""
        snapshot = self._published[table.name].current_snapshot()
        return snapshot.snapshot_id if snapshot and not is_empty_start(snapshot) else None

    def _stored(self, table: Table) -> int | None:
        """Return the snapshot that must still be current at the commit, also the empty one that Trino creates."""
        snapshot = self._published[table.name].current_snapshot()
        return snapshot.snapshot_id if snapshot else None

    def replace_range(
        self, target: Table, source: Table | Fragment, *, first: date, last: date, properties: Mapping[str, str]
    ) -> int:
        """Run the MERGE, which fails if another writer has committed since; record the load with its snapshot."""
        base = self._stored(target)
        known = {snapshot.snapshot_id for snapshot in self._published[target.name].snapshots()}
        merge = merge_statement(
            target, source, name=self._parts.catalog.name(target), base=base, first=first, last=last
        )
        self._send(target, base, replace_names(merge, self._pinned))
        committed = self._committed(target, base, known, properties)
        if committed is None:
            raise QueryFailed(
                f"{target.full_name}: {self._parts.engine.name} reports success, but the table has no snapshot"
            )
        return committed

    def _send(self, target: Table, base: int | None, merge: str) -> None:
        def attempt() -> None:
            self._reject_if_changed(target, base)
            self._parts.engine.run(merge)

        policy = retrying(attempts=_COMMIT_ATTEMPTS, longest_seconds=_LONGEST_PAUSE_SECONDS, on=is_commit_conflict)
        try:
            policy(attempt)
        except QueryFailed as error:
            # The message also contains the statement, which contains the text of CHANGED_SINCE: only line 1 counts.
            if is_commit_conflict(error) or CHANGED_SINCE in str(error).partition("\n")[0]:
                raise self._concurrent(target) from error
            raise

    def _committed(self, target: Table, base: int | None, known: set[int], properties: Mapping[str, str]) -> int | None:
        """Return the snapshot of a MERGE that succeeded.

        Raises:
            ConcurrentPublish: another commit came between the snapshot that was read and this one. The published rows
                then have metrics of an earlier snapshot; staging and publishing again fixes that. A compaction in
                between changes no row, so it does not count.
        """
        now = self._parts.catalog.published(target)
        compactions = {
            snapshot.snapshot_id: snapshot.parent_snapshot_id
            for snapshot in now.snapshots()
            if snapshot.snapshot_id not in known and is_compaction(snapshot)
        }
        new = [snapshot for snapshot in now.snapshots() if snapshot.snapshot_id not in known | compactions.keys()]
        if not new:
            return base
        parent = new[0].parent_snapshot_id
        while parent in compactions:
            parent = compactions[parent]
        if len(new) > 1 or parent != base:
            raise self._concurrent(target)
        kept = [snapshot.snapshot_id for snapshot in now.snapshots()]
        self._parts.catalog.record_properties(target, new[0].snapshot_id, properties, kept=kept)
        return new[0].snapshot_id

    def _reject_if_changed(self, target: Table, base: int | None) -> None:
        now = self._parts.catalog.published(target).current_snapshot()
        if (now.snapshot_id if now else None) != base:
            raise self._concurrent(target)

    def _concurrent(self, target: Table) -> ConcurrentPublish:
        return ConcurrentPublish(
            f"{target.full_name} was changed by another writer while load {self._load_id} was being published; "
            "stage and publish the load again"
        )

    def _pinned(self, schema: str, name: str) -> str | None:
        """Return the SQL that replaces a name in a query."""
        if schema == "published" and name in self._tables:
            return self._snapshot(self._tables[name])
        if schema == "staged":
            stored = self._staging_tables().get(name)
            if stored is None:
                raise QueryFailed(
                    f"load {self._load_id or 'none'} has no table staged.{name}; stage it before a SELECT reads it"
                )
            return f"{self._parts.databases.staged}.{stored}"
        if schema == "input" and name in self._inputs:
            return self._input(name)
        if schema == "raw" and self._responses is not None:
            return self._raw(self._responses)
        return self._physical(schema, name)

    def _physical(self, schema: str, name: str) -> str | None:
        """Return the SQL that replaces a name in a view: a view always reads the current snapshot."""
        return f"{self._parts.databases.published}.{name}" if schema == "published" else None

    def _snapshot(self, table: Table) -> str:
        stored = self._published.get(table.name)
        snapshot = stored.current_snapshot() if stored is not None else None
        held: set[str] = set()
        if stored is not None and snapshot is not None:
            schema = stored.schemas().get(snapshot.schema_id) if snapshot.schema_id is not None else None
            held = {field.name for field in (schema or stored.schema()).fields}
        # A snapshot that is older than a column is read with its own columns, and the new column is NULL.
        columns = ", ".join(
            column.name if column.name in held else f"CAST(NULL AS {_cast(column.type)}) AS {column.name}"
            for column in table.columns
        )
        if snapshot is None:
            return f"(SELECT {columns} WHERE FALSE)"
        pinned = f"{self._parts.databases.published}.{table.name} FOR VERSION AS OF {snapshot.snapshot_id}"
        if all(column.name in held for column in table.columns):
            return pinned
        return f"(SELECT {columns} FROM {pinned})"  # noqa: S608 (plain names)

    def _input(self, name: str) -> str:
        if name not in self._written:
            self._written[name] = self._store.relation(name, self._inputs[name])
            self._uploaded |= self._store.stem in self._written[name]
        return self._written[name]

    def _raw(self, responses: RawResponses) -> str:
        if responses.uris:
            self._parts.ensure_raw()
        return responses.relation(self._parts.engine.ddl.external(f"{self._parts.databases.raw}.{RAW_TABLE}"))

    def _staging_tables(self) -> dict[str, str]:
        """Return the newest staging table of each name of this load; the names of attempts sort by time."""
        if self._staged is None:
            stem = staging_stem(self._load_id)
            found = sorted(table["Name"] for table in self._parts.glue.tables(self._parts.databases.staged, stem))
            self._staged = {name.removeprefix(stem).rpartition("__")[0]: name for name in found}
        return self._staged

    def _columns(self, stored: str) -> Sequence[Mapping[str, str]]:
        table = self._parts.glue.table(self._parts.databases.staged, stored)
        columns: Sequence[Mapping[str, str]] = table["StorageDescriptor"]["Columns"] if table else []
        return columns


class ReadingConnection(GlueConnection):
    """Read snapshots of published tables, and views that are part of each statement; nothing is created."""

    def __init__(
        self, parts: LakehouseParts, tables: Mapping[str, Table], published: Mapping[str, IcebergTable | None]
    ) -> None:
        existing = {name: stored for name, stored in published.items() if stored is not None}
        super().__init__(parts, "", tables, existing)
        self._views: dict[str, str] = {}

    def create_view(self, name: str, select: str) -> Name:
        """Store the view in memory: the views of the catalog always read the current snapshots."""
        self._views[name] = f"(\n{replace_names(select, self._pinned)}\n)"
        return Name(f"published.{name}")

    def base(self, table: Table) -> int | None:
        """Return the snapshot that this connection reads."""
        return super().base(table) if table.name in self._published else None

    def _pinned(self, schema: str, name: str) -> str | None:
        return self._views[name] if schema == "published" and name in self._views else super()._pinned(schema, name)


def is_commit_conflict(error: BaseException) -> bool:
    """Return whether a statement failed because another writer committed first."""
    return isinstance(error, QueryFailed) and COMMIT_CONFLICT in str(error)


def staging_stem(load_id: str) -> str:
    """Return the prefix of the names of a load's staging tables."""
    return f"{Name(load_id or 'none').value}__"


def staging_folder(load_id: str) -> str:
    """Return the folder of a load's staging tables."""
    return f"staged/tables/{load_id or 'none'}/"


def _folder_of(load_id: str, table: str, stored: str) -> str:
    return f"{staging_folder(load_id)}{table}/{stored.rpartition('__')[2]}/"


def _cast(column_type: ColumnType) -> str:
    stored = STORED_TYPES[column_type]
    return {"string": "varchar", "timestamp": "timestamp(6)"}.get(stored, stored)
