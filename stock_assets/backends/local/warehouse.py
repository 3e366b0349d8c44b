"""Tables on one machine: DuckDB runs the SQL, Parquet files store staging tables, pyiceberg stores published tables.

Belongs here: opening connections, the folders of staging tables, snapshots. Does not belong here: what a connection
does (`connection`), Iceberg tables (`table_reader`, `iceberg`), maintenance (`maintenance`). Modules that write Iceberg
tables are imported by the functions that write, because these modules import slowly, and commands that only read must
start quickly.

A DuckDB connection lives in memory for one step. Opening it and describing the tables to it takes 0.04 s of CPU, so the
steps of a small load in one process share one.
"""

import shutil
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import duckdb

from stock_assets.backends import snapshots
from stock_assets.backends.interface import AsOf, MaintenanceResult, Objects, Snapshot, SqlConnection, Warehouse
from stock_assets.backends.local.connection import DuckDbConnection
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.diagnosis import diagnosed
from stock_assets.backends.local.table_reader import own_properties, read
from stock_assets.backends.pinning import pin
from stock_assets.core.progress_bar import hide_progress_bar
from stock_assets.core.tables import PUBLISHED_TABLES, Table

_Kept = tuple[str, DuckDbConnection, ExitStack]
"""A connection that the next step of a load may use: id of the load, connection, what closes it."""
_ROWS_PER_MB = 1000
"""A statement of a load needs less than 1 kB for each of its rows."""


class DuckDbWarehouse(Warehouse):
    """Everything below one folder: `staged/tables/<load>/<table>/<year>.parquet`, `published/`, `catalog.db`."""

    def __init__(
        self, folder: DataFolder, objects: Objects, memory_limit_mb: int, chunk_rows: int | None = None
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._memory_limit_mb = memory_limit_mb
        self._chunk_rows = memory_limit_mb * _ROWS_PER_MB if chunk_rows is None else chunk_rows
        self._kept: deque[_Kept] = deque()
        weakref.finalize(self, _close, self._kept)

    def connect(self, load_id: str = "") -> AbstractContextManager[SqlConnection]:
        """Connect, and pin the current snapshot of every published table; nothing is created before a write."""
        return self._connect_load(load_id) if load_id else self._connect("", None)

    def connect_to_read(self, as_of: AsOf | None = None) -> AbstractContextManager[SqlConnection]:
        """Connect, and pin a snapshot of every published table."""
        return self._connect("", as_of)

    @contextmanager
    def _connect_load(self, load_id: str) -> Iterator[SqlConnection]:
        """Connect for one step of a load, with the connection of the step before if it is still up to date."""
        with diagnosed(self._folder.root), ExitStack() as opened:
            connection = self._of_step_before(load_id, opened)
            if connection is None:
                connection = opened.enter_context(self._connect(load_id, None))
            yield connection
            if connection.serves_next_step:
                self._kept.append((load_id, connection, opened.pop_all()))

    def _of_step_before(self, load_id: str, opened: ExitStack) -> DuckDbConnection | None:
        """Return the connection of the load's step before; close those of other loads, and one that is outdated."""
        found = None
        for kept_id, connection, kept in _taken(self._kept):
            if found is None and kept_id == load_id and connection.begin_next_step():
                found = connection
                opened.push(kept)
            else:
                kept.close()
        return found

    @contextmanager
    def _connect(self, load_id: str, as_of: AsOf | None) -> Iterator[DuckDbConnection]:
        with diagnosed(self._folder.root):
            published = {table.name: pin(table, read(self._folder.root, table), as_of) for table in PUBLISHED_TABLES}
        staging = self._staging(load_id)
        with diagnosed(self._folder.root), self._duckdb(staging / "spill" if load_id else None) as connection:
            yield DuckDbConnection(
                connection,
                self._folder,
                self._objects,
                staging,
                published,
                chunk_rows=self._chunk_rows,
                is_of_load=bool(load_id),
            )

    @property
    def views_name_snapshots(self) -> bool:
        """Return True: the views are in a file beside the catalog."""
        return True

    def _duckdb(self, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
        """Open DuckDB in memory."""
        # DuckDB's default folder for spilling is in the working directory. A killed load's files are removed with it.
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self._memory_limit_mb}MB",
            "temp_directory": str(spill or Path(gettempdir()) / f"stock_assets_{uuid4().hex}"),
        }
        connection = duckdb.connect(":memory:", config=config)
        hide_progress_bar(connection)
        return connection

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

        with diagnosed(self._folder.root), self._duckdb() as connection:
            return maintenance.maintain(connection, self._folder.root, table, keep_since=keep_since, at=at)

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


def _taken(kept: deque[_Kept]) -> Iterator[_Kept]:
    """Take one connection after another; threads share them."""
    with suppress(IndexError):
        while True:
            yield kept.pop()


def _close(kept: deque[_Kept]) -> None:
    for *_, opened in _taken(kept):
        opened.close()
