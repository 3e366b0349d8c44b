"""The staging and published tables of a lakehouse backend.

Belongs here: opening SQL connections, and operations on whole tables. Does not belong here: the statements of a load
(`sql_session`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property

from stock_assets.backends.interface import (
    AsOf,
    Damage,
    MaintenanceResult,
    Snapshot,
    SqlConnection,
    StatementRun,
    Warehouse,
)
from stock_assets.backends.lakehouse import maintenance
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.iceberg_catalog import Databases, IcebergCatalog
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.lakehouse.responses import RAW_TABLE
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.lakehouse.sql_session import (
    GlueConnection,
    LakehouseParts,
    ReadingConnection,
    staging_folder,
    staging_stem,
)
from stock_assets.backends.pinning import pin
from stock_assets.backends.table_check import damaged_files
from stock_assets.core.sql import Name
from stock_assets.core.tables import PUBLISHED_TABLES, Table


class GlueWarehouse(Warehouse):
    """Iceberg tables in the Glue Data Catalog, with files in the bucket and statements in Athena or Trino."""

    def __init__(
        self, access: AwsAccess, engine: SqlEngine, objects: S3Objects, scratch: S3Objects, databases: Databases
    ) -> None:
        self._access = access
        self._engine = engine
        self._objects = objects
        self._scratch = scratch
        self._databases = databases

    @contextmanager
    def connect(self, load_id: str = "") -> Iterator[SqlConnection]:
        """Pin the current snapshot of every published table; at the end, remove what the connection created."""
        published = {table.name: self._catalog.published(table) for table in PUBLISHED_TABLES}
        session = GlueConnection(self._parts, load_id, {table.name: table for table in PUBLISHED_TABLES}, published)
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def connect_to_read(self, as_of: AsOf | None = None) -> Iterator[SqlConnection]:
        """Pin a snapshot of every published table that exists; views are part of the statements that read them."""
        published = {table.name: pin(table, self._catalog.readable(table), as_of) for table in PUBLISHED_TABLES}
        session = ReadingConnection(self._parts, {table.name: table for table in PUBLISHED_TABLES}, published)
        try:
            yield session
        finally:
            session.close()

    def history(self, table: Table) -> list[Snapshot]:
        """Read the Iceberg metadata and the recorded properties."""
        return self._catalog.history(table)

    def is_rolled_back(self, table: Table) -> bool:
        """Read the Iceberg metadata only."""
        return self._catalog.is_rolled_back(table)

    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Change the Iceberg metadata; Athena has no statement for this."""
        self._catalog.rollback(table, snapshot_id)

    def location(self, table: Table) -> str:
        """Return the address of the table's folder in the bucket."""
        return self._objects.uri(f"{table.schema}/{table.name}")

    def drop_staging(self, load_id: str) -> None:
        """Remove the tables from the catalog, then their files; no statement is sent."""
        for table in self._parts.glue.tables(self._databases.staged, staging_stem(load_id)):
            self._parts.glue.delete(self._databases.staged, table["Name"])
        self._scratch.delete_all(staging_folder(load_id))

    def maintain(self, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
        """Send OPTIMIZE and VACUUM where the metadata shows that there is work."""
        return maintenance.maintain(self._parts, table, keep_since=keep_since, at=at)

    def staged_loads(self) -> list[str]:
        """List the loads that have a folder of staging tables."""
        return sorted({key.split("/")[2] for key in self._scratch.keys("staged/tables/")} - {"none"})

    def damage(self) -> Iterator[Damage]:
        """Find objects of the published tables that are missing or have another size; no statement is sent."""
        for table in PUBLISHED_TABLES:
            stored = self._catalog.stored(table)
            if stored is not None:
                yield from damaged_files(stored, table)

    def take_runs(self) -> tuple[list[StatementRun], list[StatementRun]]:
        """Return the statements since the last call, and all statements so far."""
        return self._engine.take_runs()

    @cached_property
    def _catalog(self) -> IcebergCatalog:
        return IcebergCatalog(self._access, self._objects, self._databases, self._engine)

    @cached_property
    def _parts(self) -> LakehouseParts:
        glue = Glue(self._access)
        return LakehouseParts(
            self._engine, self._catalog, glue, self._objects, self._scratch, self._databases, self._ensure_raw
        )

    def _ensure_raw(self) -> None:
        if self._parts.glue.table(self._databases.raw, RAW_TABLE) is not None:
            return
        self._parts.glue.create_database(self._databases.raw)
        name = Name(f"{self._databases.raw}.{RAW_TABLE}")
        self._engine.run(self._engine.ddl.raw_table(name, self._objects.uri("raw/daily_prices/")))
