"""A DuckDB connection in memory: the tables of one load, and one snapshot of each published table.

Belongs here: the relations that statements may name, running statements, staging and publishing their rows. Does not
belong here: opening connections (`warehouse`), the files of staging tables (`staged_files`), Iceberg tables
(`table_reader`, `iceberg`). Modules that write Iceberg tables are imported by the functions that write, because these
modules import slowly, and commands that only read must start quickly.

Published tables are views over the Parquet files of one Iceberg snapshot, read by field id, so that a column added
later is NULL in older files.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import duckdb
import pyarrow as pa
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.digests import inputs_digest
from stock_assets.backends.interface import Digests, Fetch, Objects, SqlConnection
from stock_assets.backends.local.chunks import EVERY_SYMBOL, Chunk, divide
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.duckdb_errors import query_failed
from stock_assets.backends.local.parquet_scans import path_literal, read_parquet, scan, scan_by_age
from stock_assets.backends.local.table_reader import metadata_location, read, table_files
from stock_assets.core.checksums import file_hash
from stock_assets.core.errors import DamagedResponses, QueryFailed
from stock_assets.core.queries import transpile
from stock_assets.core.sql import Fragment, Name, literal
from stock_assets.core.tables import PUBLISHED_TABLES, STAGING_TABLES, Table

if TYPE_CHECKING:
    from stock_assets.backends.local.staged_files import TableFiles

_T = TypeVar("_T")
_ROWS_OF_A_SMALL_LOAD = 100_000
"""Opening a connection takes longer than a tenth of such a load; a larger one should free its memory between steps."""


class DuckDbConnection(SqlConnection):
    """One in-memory connection."""

    def __init__(  # noqa: PLR0913 (one argument more than usual, passed by name)
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: DataFolder,
        objects: Objects,
        staging: Path,
        published: Mapping[str, IcebergTable | None],
        *,
        chunk_rows: int,
        is_of_load: bool,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._objects = objects
        self._staging = staging
        self._published = dict(published)
        self._inputs: dict[str, pa.Table] = {}
        self._registered: dict[str, pa.Table] = {}
        self._has_actual_columns = False
        self._serves_next_step = False
        self._raw_files: dict[Chunk, Path] = {}
        self._restricted = False
        self._chunk_rows = chunk_rows
        self._is_of_load = is_of_load
        self._chunks = [EVERY_SYMBOL]
        self._chunk = EVERY_SYMBOL
        self._staged_in_chunks: tuple[ExitStack, dict[str, TableFiles]] | None = None
        connection.execute("SET TimeZone='UTC'")
        for schema in ("raw", "staged", "published", "input"):
            connection.execute(f"CREATE SCHEMA {schema}")
        self._published_files = {
            table.name: table_files(stored) if (stored := published[table.name]) is not None else []
            for table in PUBLISHED_TABLES
        }
        self._create_views()

    @property
    def serves_next_step(self) -> bool:
        """Return whether the next step of the load may use this connection: the load is small and not published."""
        return self._serves_next_step

    def begin_next_step(self) -> bool:
        """Forget the inputs of the last step; return False if a published table has changed since this one opened."""
        self._registered = {}
        return all(
            metadata_location(self._folder.root, table) == (stored.metadata_location if stored is not None else None)
            for table in PUBLISHED_TABLES
            for stored in [self._published[table.name]]
        )

    def name(self, table: Table) -> Name:
        """Return `schema.table`; a session has one load only."""
        return Name(table.full_name)

    def actual_columns(self) -> Name:
        """Read DuckDB's own catalog, staging tables only."""
        if not self._has_actual_columns:
            self._connection.execute(
                "CREATE VIEW input.actual_columns AS SELECT table_name, column_name, data_type "
                "FROM information_schema.columns WHERE table_schema = 'staged'"
            )
            self._has_actual_columns = True
        return Name("input.actual_columns")

    def register(self, relation: str, rows: pa.Table) -> Name:
        """Register an Arrow table with DuckDB without copying it, unless it has an equal one."""
        known = self._inputs.get(relation)
        if known is not None and known.equals(rows):
            self._registered[relation] = known
        else:
            self._inputs[relation] = self._registered[relation] = rows
            self._connection.register(f"arrow_{relation}", rows)
            self._create_input_view(relation)
        return Name(f"input.{relation}")

    def register_responses(self, responses: Sequence[Fetch], *, first: date, last: date) -> Name:
        """Read the Parquet files of the rows, one for each chunk; the first connection of the load writes them."""
        from stock_assets.backends.local.raw_rows import raw_rows_file

        damage: dict[str, str] = {}
        shown = dict(self._raw_files)
        for chunk in self._chunks:
            of_chunk = [fetch for fetch in responses if chunk.has(fetch.symbol)]
            try:
                self._raw_files[chunk] = raw_rows_file(
                    self._connection, self._objects, of_chunk, self._staging, first=first, last=last
                )
            except DamagedResponses as error:
                damage |= error.damage
        if damage:
            raise DamagedResponses(damage)
        if self._raw_files != shown:
            self._create_raw_view()
        return Name("raw.daily_prices")

    def divide(self, symbols: Iterable[str], rows_per_symbol: int) -> None:
        """Divide the symbols into chunks of as many rows as fit into memory; usually that is one chunk."""
        known = set(symbols)
        self._chunks = divide(known, rows_per_symbol, self._chunk_rows)
        self._serves_next_step = not self.is_divided and len(known) * rows_per_symbol <= _ROWS_OF_A_SMALL_LOAD

    @property
    def is_divided(self) -> bool:
        """Return whether there are several chunks."""
        return len(self._chunks) > 1

    def each_chunk(self, step: Callable[[], _T]) -> list[_T]:
        """Show one chunk after another; staging tables are complete at the end, or unchanged after an error."""
        if not self.is_divided:
            return [step()]
        results = []
        try:
            with ExitStack() as tables:
                self._staged_in_chunks = tables, {}
                for chunk in self._chunks:
                    self._chunk = chunk
                    self._create_views()
                    results.append(step())
        finally:
            self._staged_in_chunks, self._chunk = None, EVERY_SYMBOL
            self._create_views()
        return results

    def materialize(self, relation: str, select: str) -> Fragment:
        """Run the SELECT and register its rows."""
        return Fragment(f"SELECT * FROM {self.register(relation, self.query(select)).value}")  # noqa: S608 (a name)

    def create_view(self, name: str, select: str) -> Name:
        """Create a view that exists as long as the connection."""
        view = Name(f"published.{name}")
        self._create_view(view, transpile(select))
        return view

    def store_views(self) -> bool:
        """Write the views to a DuckDB file, unless nothing is published."""
        from stock_assets.backends.local.views_file import write_views

        read_snapshots = {table: self.base(table) for table in PUBLISHED_TABLES}
        if not any(read_snapshots.values()):
            return True
        root = self._folder.prepare()
        write_views(self._connection, root)
        return all(_snapshot_id(read(root, table)) == found for table, found in read_snapshots.items())

    def restrict(self) -> None:
        """Allow reads of the published Parquet files; disable all other access to files, networks and extensions."""
        # DuckDB keeps the folder to which it spills readable; `connect` has chosen one without other files.
        # A path with a pattern is compared as it is written in the view, too.
        files = [file.path for files in self._published_files.values() for file in files]
        allowed = dict.fromkeys(form(path) for path in files for form in (literal, path_literal))
        for setting, value in (
            ("allowed_paths", f"[{', '.join(allowed)}]"),
            ("autoinstall_known_extensions", "false"),
            ("autoload_known_extensions", "false"),
            ("allow_community_extensions", "false"),
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):
            self._execute(f"SET {setting} = {value}")
        self._restricted = True

    def query(self, select: str) -> pa.Table:
        """Transpile and run."""
        statement = transpile(select)
        try:
            if self._restricted:
                # The rows of a user's query may be many: this does not store them first.
                rows: pa.Table = self._connection.sql(statement).to_arrow_table()
            else:
                # DuckDB binds the statement of a relation twice, which takes a fifth of the audits of a small load.
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE query_rows AS {statement}")
                rows = self._connection.sql("FROM query_rows").to_arrow_table()
        except duckdb.Error as error:
            raise query_failed(error, statement) from error
        return rows

    def stage(self, table: Table, select: str) -> int:
        """Write the files that a publish adds to the published table; a kill leaves no incomplete table."""
        if self._restricted:
            raise QueryFailed(f"Permission Error: a restricted connection does not write {table.full_name}")
        self._folder.prepare()
        if self._staged_in_chunks is None:
            with self._files(table) as files:
                rows = files.add(self._connection, transpile(select))
            self._create_staging_view(table)
            return rows
        tables, opened = self._staged_in_chunks
        if table.name not in opened:
            opened[table.name] = tables.enter_context(self._files(table))
        files = opened[table.name]
        rows = files.add(self._connection, transpile(select))
        if files.newest is not None:
            self._create_view(self.name(table), read_parquet(files.newest))
        return rows

    def digests(self) -> Digests:
        """Hash the files of the staging tables."""
        staging = hashlib.sha256()
        files = [(table.name, file) for table in STAGING_TABLES for file in self._staged_files(table)]
        with ThreadPoolExecutor() as threads:
            for (name, file), digest in zip(files, threads.map(file_hash, [file for _, file in files]), strict=True):
                staging.update(f"{name} {file.name} {digest}\n".encode())
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
        files = self._files_of(source, target)
        snapshot_id = replacement.replace_range(
            self._connection, stored, target, files, (first, last), properties, chunks=self._chunks
        )
        self._published[target.name] = stored
        # The views show the snapshot before.
        self._serves_next_step = False
        shutil.rmtree(self._to_commit(target), ignore_errors=True)
        return snapshot_id

    def _files_of(self, source: Table | Fragment, target: Table) -> list[Path]:
        """Return the files of a staging table; write those of a SELECT."""
        if isinstance(source, Table):
            return self._staged_files(source)
        from stock_assets.backends.local.staged_files import field_ids, sorted_files

        folder = self._to_commit(target)
        with sorted_files(folder, target, field_ids(target)) as files:
            files.add(self._connection, transpile(f"SELECT * FROM {source.text} AS s"))  # noqa: S608 (bound by the caller)
        return sorted(folder.glob("*.parquet"))

    def _to_commit(self, target: Table) -> Path:
        return self._staging / f"{target.name}_to_commit"

    def _files(self, table: Table) -> "AbstractContextManager[TableFiles]":
        """Open the files of a staging table, which replace its earlier files when they are complete."""
        from stock_assets.backends.local.staged_files import copied_files, field_ids, sorted_files

        folder = self._staging / table.name
        if table.name in {published.name for published in PUBLISHED_TABLES}:
            return sorted_files(folder, table, field_ids(table))
        return copied_files(folder)

    def _staged_files(self, table: Table) -> list[Path]:
        return sorted((self._staging / table.name).glob("*.parquet"))

    def _create_views(self) -> None:
        """Create the views of all relations that have a symbol, with the rows of the chunk."""
        for table in PUBLISHED_TABLES:
            stored, files = self._published[table.name], self._published_files[table.name]
            if self._is_of_load:
                rows = scan_by_age(table, stored, files)
            else:
                rows = scan(table, stored, [file.path for file in files])
            self._create_view(self.name(table), self._chunk.of(rows))
        for table in STAGING_TABLES:
            self._create_staging_view(table)
        for relation, rows_of in self._inputs.items():
            if "symbol" in rows_of.column_names:
                self._create_input_view(relation)
        self._create_raw_view()

    def _create_staging_view(self, table: Table) -> None:
        files = self._staged_files(table)
        if files:
            self._create_view(self.name(table), self._chunk.of(read_parquet(*files)))

    def _create_input_view(self, relation: str) -> None:
        rows = f"FROM arrow_{relation}"
        has_symbols = "symbol" in self._inputs[relation].column_names
        self._create_view(Name(f"input.{relation}"), self._chunk.of(rows) if has_symbols else rows)

    def _create_raw_view(self) -> None:
        if self._raw_files:
            files = [self._raw_files[self._chunk]] if self._chunk in self._raw_files else self._raw_files.values()
            self._create_view(Name("raw.daily_prices"), read_parquet(*files))

    def _create_view(self, name: Name, select: str) -> None:
        self._execute(f"CREATE OR REPLACE VIEW {name.value} AS {select}")

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise query_failed(error, statement) from error


def _snapshot_id(stored: IcebergTable | None) -> int | None:
    snapshot = stored.current_snapshot() if stored is not None else None
    return snapshot.snapshot_id if snapshot is not None else None
