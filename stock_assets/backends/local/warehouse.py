"""Tables on one machine: DuckDB runs the SQL, Parquet files store staging tables, pyiceberg stores published tables.

Belongs here: SQL sessions and staging tables. Does not belong here: Iceberg tables (`table_reader`, `iceberg`),
maintenance (`maintenance`). Modules that write Iceberg tables are imported by the functions that write, because these
modules import slowly, and commands that only read must start quickly.

A DuckDB connection lives in memory for one step. Published tables are views over the Parquet files of one Iceberg
snapshot, read by field id, so that a column added later is NULL in older files.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import duckdb
import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends import snapshots
from stock_assets.backends.digests import inputs_digest
from stock_assets.backends.interface import (
    AsOf,
    Digests,
    Fetch,
    MaintenanceResult,
    Objects,
    Snapshot,
    SqlConnection,
    Warehouse,
)
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.diagnosis import diagnosed
from stock_assets.backends.local.duckdb_errors import query_failed
from stock_assets.backends.local.parquet_scans import path_literal, read_parquet, scan
from stock_assets.backends.local.table_reader import data_files, own_properties, read
from stock_assets.backends.pinning import pin
from stock_assets.core.checksums import file_hash
from stock_assets.core.errors import QueryFailed
from stock_assets.core.queries import transpile
from stock_assets.core.sql import Fragment, Name, literal
from stock_assets.core.tables import PUBLISHED_TABLES, STAGING_TABLES, Table


class DuckDbWarehouse(Warehouse):
    """Everything below one folder: `staged/tables/<load>/<table>/<year>.parquet`, `published/`, `catalog.db`."""

    def __init__(self, folder: DataFolder, objects: Objects, memory_limit_mb: int) -> None:
        self._folder = folder
        self._objects = objects
        self._memory_limit_mb = memory_limit_mb

    def connect(self, load_id: str = "") -> AbstractContextManager[SqlConnection]:
        """Connect, and pin the current snapshot of every published table; nothing is created before a write."""
        return self._connect(load_id, None)

    def connect_to_read(self, as_of: AsOf | None = None) -> AbstractContextManager[SqlConnection]:
        """Connect, and pin a snapshot of every published table."""
        return self._connect("", as_of)

    @contextmanager
    def _connect(self, load_id: str, as_of: AsOf | None) -> Iterator[SqlConnection]:
        with diagnosed(self._folder.root):
            published = {table.name: pin(table, read(self._folder.root, table), as_of) for table in PUBLISHED_TABLES}
        staging = self._staging(load_id)
        # DuckDB's default folder for spilling is in the working directory. A killed load's files are removed with it.
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._memory_limit_mb}MB",
            "temp_directory": str(staging / "spill" if load_id else _new_spill_folder()),
        }
        with diagnosed(self._folder.root), duckdb.connect(":memory:", config=config) as connection:
            yield DuckDbConnection(connection, self._folder, self._objects, staging, published)

    def history(self, table: Table) -> list[Snapshot]:
        """Read the snapshots from the table's metadata."""
        with diagnosed(self._folder.root):
            stored = read(self._folder.root, table)
        return snapshots.history(stored, own_properties) if stored is not None else []

    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Point the main branch at the snapshot."""
        from stock_assets.backends.local import iceberg

        with diagnosed(self._folder.root):
            snapshots.roll_back(table, lambda: iceberg.find(self._folder.root, table), snapshot_id)

    def maintain(self, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
        """Compact files, expire snapshots and remove files through pyiceberg."""
        from stock_assets.backends.local import maintenance

        with diagnosed(self._folder.root):
            return maintenance.maintain(self._folder.root, table, keep_since=keep_since, at=at)

    def location(self, table: Table) -> str:
        """Return the folder of the table."""
        return str(self._folder.root / table.schema / table.name)

    def drop_staging(self, load_id: str) -> None:
        """Remove the folder of the load."""
        shutil.rmtree(self._staging(load_id), ignore_errors=True)

    def staged_loads(self) -> list[str]:
        """Return the names of the folders."""
        return sorted(folder.name for folder in self._staging("").parent.glob("load_*"))

    def _staging(self, load_id: str) -> Path:
        return self._folder.root / "staged" / "tables" / (load_id or "none")


class DuckDbConnection(SqlConnection):
    """One in-memory connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: DataFolder,
        objects: Objects,
        staging: Path,
        published: Mapping[str, IcebergTable | None],
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._objects = objects
        self._staging = staging
        self._published = dict(published)
        self._registered: dict[str, pa.Table] = {}
        self._restricted = False
        connection.execute("SET TimeZone='UTC'")
        for schema in ("raw", "staged", "published", "input"):
            connection.execute(f"CREATE SCHEMA {schema}")
        self._published_files: list[str] = []
        for table in PUBLISHED_TABLES:
            stored = published[table.name]
            files = data_files(stored) if stored is not None else []
            connection.execute(f"CREATE VIEW {table.full_name} AS {scan(table, stored, files)}")
            self._published_files += files
        for table in STAGING_TABLES:
            self._create_staging_view(table)

    def name(self, table: Table) -> Name:
        """Return `schema.table`; a session has one load only."""
        return Name(table.full_name)

    def actual_columns(self) -> Name:
        """Read DuckDB's own catalog, staging tables only."""
        self._connection.execute(
            "CREATE OR REPLACE VIEW input.actual_columns AS SELECT table_name, column_name, data_type "
            "FROM information_schema.columns WHERE table_schema = 'staged'"
        )
        return Name("input.actual_columns")

    def register(self, relation: str, rows: pa.Table) -> Name:
        """Register an Arrow table with DuckDB without copying it."""
        self._registered[relation] = rows
        name = Name(f"input.{relation}")
        self._connection.register(f"arrow_{relation}", rows)
        self._connection.execute(f"CREATE OR REPLACE VIEW {name.value} AS FROM arrow_{relation}")
        return name

    def register_responses(self, responses: Sequence[Fetch], *, first: date, last: date) -> Name:
        """Read the load's Parquet file of the rows; the first connection of the load writes it."""
        from stock_assets.backends.local.raw_rows import raw_rows_file

        file = raw_rows_file(self._connection, self._objects, responses, self._staging, first=first, last=last)
        self._connection.execute(f"CREATE OR REPLACE VIEW raw.daily_prices AS {read_parquet(file)}")
        return Name("raw.daily_prices")

    def create_view(self, name: str, select: str) -> Name:
        """Create a view that exists as long as the connection."""
        view = Name(f"published.{name}")
        self._execute(f"CREATE OR REPLACE VIEW {view.value} AS {transpile(select)}")
        return view

    def restrict(self) -> None:
        """Allow reads of the published Parquet files; disable all other access to files and networks."""
        # DuckDB keeps the folder to which it spills readable; `connect` has chosen one without other files.
        # A path with a pattern is compared as it is written in the view, too.
        allowed = dict.fromkeys(form(path) for path in self._published_files for form in (literal, path_literal))
        for setting, value in (
            ("allowed_paths", f"[{', '.join(allowed)}]"),
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):
            self._execute(f"SET {setting} = {value}")
        self._restricted = True

    def query(self, select: str) -> pa.Table:
        """Transpile and run."""
        statement = transpile(select)
        try:
            rows: pa.Table = self._connection.sql(statement).to_arrow_table()
        except duckdb.Error as error:
            raise query_failed(error, statement) from error
        return rows

    def stage(self, table: Table, select: str) -> int:
        """Write the files that a publish adds to the published table; a kill leaves no incomplete table."""
        from stock_assets.backends.local import staged_files

        if self._restricted:
            raise QueryFailed(f"Permission Error: a restricted connection does not write {table.full_name}")
        self._folder.prepare()
        if table.name in {published.name for published in PUBLISHED_TABLES}:
            rows = self._write(select, table, self._staging / table.name)
        else:
            rows = staged_files.copy_rows(self._connection, transpile(select), self._staging / table.name)
        self._create_staging_view(table)
        return rows

    def digests(self) -> Digests:
        """Hash the files of the staging tables."""
        staging = hashlib.sha256()
        for table in STAGING_TABLES:
            for file in self._staged_files(table):
                staging.update(f"{table.name} {file.name} {file_hash(file)}\n".encode())
        snapshots = {table.name: self.base(table) for table in PUBLISHED_TABLES}
        return Digests(staging.hexdigest(), inputs_digest(self._registered, snapshots))

    def base(self, table: Table) -> int | None:
        """Return the snapshot loaded with the session."""
        return _snapshot_id(self._published[table.name])

    def may_have_rows(self, table: Table, first: date, last: date) -> bool:
        """Compare the range with the statistics of the table's files."""
        stored = self._published[table.name]
        if stored is None:
            return False
        inside = f"trade_date >= '{first}' and trade_date <= '{last}'"
        return any(stored.scan(row_filter=inside).plan_files())

    def replace_range(
        self, target: Table, source: Table | Fragment, *, first: date, last: date, properties: Mapping[str, str]
    ) -> int:
        """Commit through pyiceberg, on top of the snapshot this session reads."""
        from stock_assets.backends.local import iceberg, replacement

        stored = iceberg.load(self._folder.prepare(), target)
        if _snapshot_id(stored) != self.base(target):
            raise iceberg.concurrent_publish(stored, first, last)
        snapshot_id = replacement.replace_range(
            self._connection, stored, target, self._files_of(source, target), (first, last), properties
        )
        self._published[target.name] = stored
        shutil.rmtree(self._to_commit(target), ignore_errors=True)
        return snapshot_id

    def _files_of(self, source: Table | Fragment, target: Table) -> list[Path]:
        """Return the files of a staging table; write those of a SELECT."""
        if isinstance(source, Table):
            return self._staged_files(source)
        folder = self._to_commit(target)
        self._write(f"SELECT * FROM {source.text} AS s", target, folder)  # noqa: S608 (bound by the caller)
        return sorted(folder.glob("*.parquet"))

    def _to_commit(self, target: Table) -> Path:
        return self._staging / f"{target.name}_to_commit"

    def _write(self, select: str, table: Table, folder: Path) -> int:
        from stock_assets.backends.local.staged_files import field_ids, write_files

        return write_files(self._connection, transpile(select), table, field_ids(table), folder)

    def _staged_files(self, table: Table) -> list[Path]:
        return sorted((self._staging / table.name).glob("*.parquet"))

    def _create_staging_view(self, table: Table) -> None:
        files = self._staged_files(table)
        if files:
            self._connection.execute(f"CREATE OR REPLACE VIEW {table.full_name} AS {read_parquet(*files)}")

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise query_failed(error, statement) from error


def _new_spill_folder() -> Path:
    return Path(gettempdir()) / f"stock_assets_{uuid4().hex}"


def _snapshot_id(stored: IcebergTable | None) -> int | None:
    snapshot = stored.current_snapshot() if stored is not None else None
    return snapshot.snapshot_id if snapshot is not None else None
