"""One step's statements, on Athena or a Trino of one's own: over one load's staging tables and one version of the rest.

Belongs here: what the names in statements stand for, staging, and the MERGE that publishes. Does not belong here:
running a statement (`engine`), metadata (`catalog`).
"""

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from secrets import token_hex

import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.interface import SqlSession
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.iceberg_catalog import CONTRACT_TYPES, Databases, IcebergCatalog, is_compaction
from stock_assets.backends.lakehouse.inputs import InputStore
from stock_assets.backends.lakehouse.merge import CHANGED, merge_statement
from stock_assets.backends.lakehouse.names import resolved
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.lakehouse.responses import Payloads
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.snapshots import is_empty_start, row_count
from stock_assets.core.errors import ConcurrentPublish, QueryFailed
from stock_assets.core.sql import Name, parse_query
from stock_assets.core.tables import Table

COMMIT_CONFLICT = "ICEBERG_COMMIT_ERROR"
"""Begins what Athena says when another writer has committed first."""
_COMMIT_TRIES = 5
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Parts:
    """What sessions of one warehouse share.

    Attributes:
        engine: runs statements.
        catalog: the published tables.
        glue: the staging tables.
        objects: the bucket.
        databases: names.
        ensure_raw: makes the table over the stored answers if there is none.
    """

    engine: SqlEngine
    catalog: IcebergCatalog
    glue: Glue
    objects: S3Objects
    databases: Databases
    ensure_raw: Callable[[], None]


class GlueSession(SqlSession):
    """Reads published tables `FOR VERSION AS OF` the version that was the current one when it was opened."""

    def __init__(
        self, parts: Parts, load_id: str, published: Mapping[str, IcebergTable], staging: Mapping[str, Table]
    ) -> None:
        self._parts = parts
        self._load_id = load_id
        self._published = published
        self._staging = staging
        self._staged: dict[str, str] | None = None
        self._inputs: dict[str, pa.Table] = {}
        self._written: dict[str, str] = {}
        token = token_hex(6)
        self._store = InputStore(
            parts.objects,
            parts.glue,
            parts.databases.staged,
            folder=f"staged/inputs/{token}/",
            stem=f"input_{token}_",
            external=parts.engine.ddl.external,
        )
        self._payloads: Payloads | None = None
        self._uploaded = False

    def close(self) -> None:
        """Remove what was made for this session only."""
        if not self._uploaded:
            return
        for table in self._parts.glue.tables(self._store.database, self._store.stem):
            self._parts.glue.delete(self._store.database, table["Name"])
        self._parts.objects.delete_all(self._store.folder)

    def name(self, table: Table) -> Name:
        """Give the name that is replaced when a statement is sent."""
        return Name(table.full_name)

    def actual_columns(self) -> Name:
        """Read the columns from the catalog; no statement is needed."""
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
        """Keep the rows until a statement names them."""
        self._inputs[relation] = rows
        self._written.pop(relation, None)
        return Name(f"input.{relation}")

    def register_responses(self, uris: Sequence[str]) -> Name:
        """Keep the addresses until a statement names them."""
        self._payloads = Payloads(self._parts.objects.uri("raw/daily_prices/"), tuple(uris))
        return Name("raw.daily_prices")

    def create_view(self, name: str, select: str) -> Name:
        """Make the view, unless the catalog has it with this very text."""
        view = Name(f"published.{name}")
        definition = resolved(select, self._physical)
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
        """Change nothing: the engine reads only tables, and only those that its credentials allow."""

    def query(self, select: str) -> pa.Table:
        """Replace the names and run; anything but a query is refused here."""
        parse_query(select)
        pinned = resolved(select, self._pinned)
        if not self._of_published_versions(select):
            return self._parts.engine.run(pinned)
        return self._parts.engine.run_once_for_all(pinned)

    def _of_published_versions(self, select: str) -> bool:
        """Tell whether a query reads pinned versions only: these never change, and so neither does its answer."""
        named: set[tuple[str, str]] = set()
        resolved(select, lambda schema, name: named.add((schema, name)))
        return bool(named) and all(schema == "published" and name in self._published for schema, name in named)

    def stage(self, table: Table, select: str) -> int:
        """Make a table at a location of its own, then drop the earlier one; what fails leaves nothing behind."""
        attempt = f"{time.time_ns():016x}{token_hex(3)}"
        name = f"{staging_stem(self._load_id)}{table.name}__{attempt}"
        folder = f"{staging_folder(self._load_id)}{table.name}/{attempt}/"
        earlier = self._staging_tables().get(table.name)
        database = self._parts.databases.staged
        ctas = self._parts.engine.ddl.staging_table(
            Name(f"{database}.{name}"), self._parts.objects.uri(folder), resolved(select, self._pinned)
        )
        self._parts.glue.create_database(database)
        try:
            self._parts.engine.run(ctas)
            stored = self._parts.catalog.existing(database, name)
        except BaseException:
            self._parts.glue.delete(database, name)
            self._parts.objects.delete_all(folder)
            raise
        if earlier is not None:
            self._parts.glue.delete(database, earlier)
            self._parts.objects.delete_all(_folder_of(self._load_id, table.name, earlier))
        self._staging_tables()[table.name] = name
        return row_count(stored.current_snapshot())

    def base(self, table: Table) -> int | None:
        """Give the snapshot loaded with the session."""
        snapshot = self._published[table.name].current_snapshot()
        return snapshot.snapshot_id if snapshot and not is_empty_start(snapshot) else None

    def _stored(self, table: Table) -> int | None:
        """Give the snapshot that has to be the current one still, a table's empty start too."""
        snapshot = self._published[table.name].current_snapshot()
        return snapshot.snapshot_id if snapshot else None

    def replace_range(
        self, target: Table, source: Table, *, first: date, last: date, properties: Mapping[str, str]
    ) -> int:
        """Run the MERGE, which fails if another writer has committed since; find its snapshot and note the load."""
        base = self._stored(target)
        known = {snapshot.snapshot_id for snapshot in self._published[target.name].snapshots()}
        merge = merge_statement(
            target, source, name=self._parts.catalog.name(target), base=base, first=first, last=last
        )
        self._send(target, base, resolved(merge, self._pinned))
        committed = self._committed(target, base, known, properties)
        if committed is None:
            raise QueryFailed(
                f"{target.full_name}: {self._parts.engine.name} reports success, but the table has no snapshot"
            )
        return committed

    def _send(self, target: Table, base: int | None, merge: str) -> None:
        for attempt in range(1, _COMMIT_TRIES + 1):
            self._refuse_if_changed(target, base)
            try:
                self._parts.engine.run(merge)
            except QueryFailed as error:
                if CHANGED in str(error).partition("\n")[0]:
                    raise self._concurrent(target) from error
                if COMMIT_CONFLICT not in str(error):
                    raise
                if attempt == _COMMIT_TRIES:
                    raise self._concurrent(target) from error
            else:
                return
            time.sleep(random.uniform(0, min(0.1 * 2**attempt, _LONGEST_PAUSE_SECONDS)))  # noqa: S311 (jitter)

    def _committed(self, target: Table, base: int | None, known: set[int], properties: Mapping[str, str]) -> int | None:
        """Return the snapshot of a MERGE that succeeded.

        Raises:
            ConcurrentPublish: another commit came between the version that was read and this one. What is published
                then has metrics of an earlier version; staging and publishing again mends that. A compaction in
                between changes no row, and so is none.
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
        self._parts.catalog.note(target, new[0].snapshot_id, properties, kept=kept)
        return new[0].snapshot_id

    def _refuse_if_changed(self, target: Table, base: int | None) -> None:
        now = self._parts.catalog.published(target).current_snapshot()
        if (now.snapshot_id if now else None) != base:
            raise self._concurrent(target)

    def _concurrent(self, target: Table) -> ConcurrentPublish:
        return ConcurrentPublish(
            f"{target.full_name} changed while load {self._load_id} was being published; stage and publish again"
        )

    def _pinned(self, schema: str, name: str) -> str | None:
        """Say what a name in a query stands for."""
        if schema == "published" and name in self._published:
            return self._version(name)
        if schema == "staged":
            stored = self._staging_tables().get(name)
            if stored is None:
                raise QueryFailed(
                    f"load {self._load_id or 'none'} has no staged.{name}; SELECT from it after staging it"
                )
            return f"{self._parts.databases.staged}.{stored}"
        if schema == "input" and name in self._inputs:
            return self._input(name)
        if schema == "raw" and self._payloads is not None:
            return self._raw()
        return self._physical(schema, name)

    def _physical(self, schema: str, name: str) -> str | None:
        """Say what a name in a view stands for: always the current version."""
        return f"{self._parts.databases.published}.{name}" if schema == "published" else None

    def _version(self, name: str) -> str:
        stored = self._published[name]
        snapshot = stored.current_snapshot()
        physical = f"{self._parts.databases.published}.{name}"
        if snapshot is None:
            columns = ", ".join(
                f"CAST(NULL AS {_cast(str(field.field_type))}) AS {field.name}" for field in stored.schema().fields
            )
            return f"(SELECT {columns} WHERE FALSE)"
        version = f"{physical} FOR VERSION AS OF {snapshot.snapshot_id}"
        of_then = stored.schemas().get(snapshot.schema_id) if snapshot.schema_id is not None else None
        held = {field.name for field in (of_then or stored.schema()).fields}
        if all(field.name in held for field in stored.schema().fields):
            return version
        # A version from before a column was added is read as it was then.
        columns = ", ".join(
            field.name if field.name in held else f"CAST(NULL AS {_cast(str(field.field_type))}) AS {field.name}"
            for field in stored.schema().fields
        )
        return f"(SELECT {columns} FROM {version})"  # noqa: S608 (plain names)

    def _input(self, name: str) -> str:
        if name not in self._written:
            self._written[name] = self._store.relation(name, self._inputs[name])
            self._uploaded |= self._store.stem in self._written[name]
        return self._written[name]

    def _raw(self) -> str:
        payloads = self._payloads
        if payloads is None:
            raise QueryFailed("no payloads are registered")
        if payloads.inside:
            self._parts.ensure_raw()
        stray = ""
        if payloads.outside:
            self._uploaded = True
            stray = f"{self._store.stem}payloads_{token_hex(4)}"
            self._parts.glue.create(self._store.database, payloads.outside_table(stray), payloads.folders)
        external = self._parts.engine.ddl.external
        return payloads.relation(
            external(f"{self._parts.databases.raw}.daily_prices"), external(f"{self._store.database}.{stray}")
        )

    def _staging_tables(self) -> dict[str, str]:
        """Find the newest table of every name that this load has; names of attempts sort by time."""
        if self._staged is None:
            stem = staging_stem(self._load_id)
            found = sorted(table["Name"] for table in self._parts.glue.tables(self._parts.databases.staged, stem))
            self._staged = {name.removeprefix(stem).rpartition("__")[0]: name for name in found}
        return self._staged

    def _columns(self, stored: str) -> Sequence[Mapping[str, str]]:
        table = self._parts.glue.table(self._parts.databases.staged, stored)
        columns: Sequence[Mapping[str, str]] = table["StorageDescriptor"]["Columns"] if table else []
        return columns


def staging_stem(load_id: str) -> str:
    """Give the beginning of the names of a load's staging tables."""
    return f"{Name(load_id or 'none').value}__"


def staging_folder(load_id: str) -> str:
    """Give the folder of a load's staging tables."""
    return f"staged/tables/{load_id or 'none'}/"


def _folder_of(load_id: str, table: str, stored: str) -> str:
    return f"{staging_folder(load_id)}{table}/{stored.rpartition('__')[2]}/"


def _cast(iceberg_type: str) -> str:
    return {"string": "varchar", "long": "bigint", "timestamp": "timestamp(6)"}.get(iceberg_type, iceberg_type)
