"""Reads published tables without the libraries that only writing needs: SQLAlchemy, and pyarrow's file systems.

Belongs here: finding the current metadata of a table in the catalog, and what consumers read from it. Does not belong
here: creating or changing tables (`iceberg`, `maintenance`), SQL (`warehouse`). The libraries for writing would add
0.6 s to the 0.9 s of CPU that `stock-assets query "select 1"` takes; a test checks that reading does not import them
(`stock_assets_tests/cli/test_startup.py`).
"""

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pyiceberg.conversions import from_bytes
from pyiceberg.io import PY_IO_IMPL, FileIO, InputFile, InputStream, OutputFile
from pyiceberg.manifest import DataFile
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot
from pyiceberg.types import DateType
from pyiceberg.utils.datetime import days_to_date

from stock_assets.backends.damage_texts import describe
from stock_assets.backends.interface import Damage, Part
from stock_assets.backends.local.database import CATALOG_FILE, open_to_read
from stock_assets.backends.local.table_folder import (
    path_of,
    require_metadata_inside,
    require_table_inside,
    require_usable,
)
from stock_assets.core.bounded_cache import remember
from stock_assets.core.errors import DamagedFiles
from stock_assets.core.tables import Table

CATALOG_NAME = "local"
PROPERTY_PREFIX = "stock_assets."
_CATALOG_TABLE = "iceberg_tables"
_Version = tuple[int, int, int, int] | None
_REMEMBERED = 16
_SESSION = "trade_date"


class TableFile(NamedTuple):
    """A Parquet file of a table, and the newest session of its rows; None without statistics, or without the column."""

    path: str
    last_session: date | None


_table_files: dict[str, tuple[dict[str, _Version], list[TableFile]]] = {}
"""Files by manifest list, with the versions of the files that name them. Iceberg never changes such a file, and
reading them takes a quarter of the time of a small query; one that was damaged or replaced since is read again."""
# Iceberg's JDBC catalog defines the columns of this table; other Iceberg clients read it too.
_METADATA_LOCATION = """
SELECT metadata_location FROM iceberg_tables
WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location IS NOT NULL
"""


def read(root: Path, table: Table) -> IcebergTable | None:
    """Read the current snapshot of a table, or return None if the table does not exist; nothing is created.

    The result can be read only: a commit raises NotImplementedError.

    Raises:
        TableOutsideDataFolder: the folder was copied or moved; the catalog in it names the files of another folder.
    """
    require_usable(root)
    location = metadata_location(root, table)
    if location is None:
        require_not_lost(root, table)
        return None
    require_metadata_inside(root, table.full_name, location)
    stored = _table(location, _version(location))
    require_table_inside(root, table.full_name, stored.location())
    return stored


def require_not_lost(root: Path, table: Table) -> None:
    """Check a table that the catalog does not contain: without its catalog, consumers would see no rows.

    Raises:
        DamagedFiles: the table has metadata of a commit. The first metadata file proves nothing: it is written before
            the catalog contains the table.
    """
    folder = root / table.schema / table.name / "metadata"
    commits = (file.name for file in folder.glob("*.metadata.json") if not file.name.startswith("00000-"))
    if any(commits):
        why = f"it does not contain {table.full_name}, whose files are in {folder.parent}"
        raise DamagedFiles([describe(Damage(Part.CATALOG, str(root / CATALOG_FILE), why, table))])


def metadata_location(root: Path, table: Table) -> str | None:
    """Return the address of a table's current metadata in the catalog, or None if the catalog has no such table."""
    with open_to_read(root / CATALOG_FILE, _CATALOG_TABLE) as connection:
        if connection is None:
            return None
        found = connection.execute(_METADATA_LOCATION, (CATALOG_NAME, table.schema, table.name)).fetchone()
    return str(found[0]) if found is not None else None


def data_files(stored: IcebergTable) -> list[str]:
    """Return the paths of the Parquet files of the loaded snapshot."""
    return [file.path for file in table_files(stored)]


def table_files(stored: IcebergTable) -> list[TableFile]:
    """Return the Parquet files of the loaded snapshot."""
    snapshot = stored.current_snapshot()
    if snapshot is None:
        return []
    known = _table_files.get(snapshot.manifest_list)
    if known is not None and all(_version(file) == version for file, version in known[0].items()):
        return list(known[1])
    session = next((field.field_id for field in stored.schema().fields if field.name == _SESSION), None)
    files = [_table_file(task.file, session) for task in stored.scan().plan_files()]
    read_files = [snapshot.manifest_list, *(manifest.manifest_path for manifest in snapshot.manifests(stored.io))]
    versions = {file: _version(file) for file in read_files}
    remember(_table_files, snapshot.manifest_list, (versions, files), most=_REMEMBERED)
    return list(files)


def _table_file(file: DataFile, session: int | None) -> TableFile:
    bound = file.upper_bounds.get(session) if file.upper_bounds and session is not None else None
    return TableFile(path_of(file.file_path), None if bound is None else day_of(bound))


def day_of(bound: bytes) -> date:
    """Return the day of a bound in Iceberg's statistics."""
    return days_to_date(int(from_bytes(DateType(), bound)))


@lru_cache(maxsize=_REMEMBERED)
def _table(location: str, _: _Version) -> StaticTable:
    """Read a metadata file; its version is a part of the cache's key."""
    return StaticTable.from_metadata(location, {PY_IO_IMPL: f"{LocalFileIO.__module__}.{LocalFileIO.__qualname__}"})


def _version(address: str) -> _Version:
    """Identify the content of a file; a file that is missing has no version, and reading it raises the error."""
    try:
        found = Path(path_of(address)).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def own_properties(snapshot: IcebergSnapshot) -> dict[str, str]:
    """Return what the publishing load, or maintenance, recorded about a snapshot."""
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return {
        key.removeprefix(PROPERTY_PREFIX): value for key, value in properties.items() if key.startswith(PROPERTY_PREFIX)
    }


class LocalFileIO(FileIO):
    """Opens local files with Python's own functions, for reading only."""

    def new_input(self, location: str) -> InputFile:
        """Return the file at a location."""
        return _LocalFile(location)

    def new_output(self, location: str) -> OutputFile:
        """Reject writing."""
        raise NotImplementedError(f"{location} was opened for reading")

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Reject removing."""
        raise NotImplementedError(f"{location} was opened for reading")


class _LocalFile(InputFile):
    def __len__(self) -> int:
        return self._path.stat().st_size

    def exists(self) -> bool:
        return self._path.exists()

    def open(self, seekable: bool = True) -> InputStream:  # noqa: ARG002, FBT001, FBT002 (pyiceberg's signature)
        return self._path.open("rb")

    @property
    def _path(self) -> Path:
        return Path(path_of(self.location))
