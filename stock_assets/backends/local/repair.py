"""Replace damaged files of a data folder: move them aside, attach or replace tables, read damaged packs.

Belongs here: changes of files and of the catalog. Does not belong here: what is damaged (`damage`), which remedy is
chosen (`maintenance.repair`), computing rows again (`maintenance.rebuild`).

Nothing is deleted: damaged files are moved to `damaged/<time>/`, under their path in the data folder. A table changes
by one transaction of the catalog, after all its new files are on disk.
"""

import sqlite3
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.types import DateType

from stock_assets.backends.layout import LAYOUT_KEY, layout_body
from stock_assets.backends.local.damage import committed_metadata, open_metadata
from stock_assets.backends.local.database import CALLS_FILE, CATALOG_FILE, DURABLE_COMMITS
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.iceberg import folder_catalog
from stock_assets.backends.local.relocation import Rewrite
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.local.table_reader import CATALOG_NAME, metadata_location
from stock_assets.backends.table_check import damaged_files
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import Table

ASIDE = "damaged"
_SESSION = "trade_date"
_EPOCH = date(1970, 1, 1)
_SIDE_FILES = ("", "-journal", "-wal", "-shm")
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_POINT = """
INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
VALUES (?, ?, ?, ?, 'TABLE')
ON CONFLICT (catalog_name, table_namespace, table_name)
DO UPDATE SET metadata_location = excluded.metadata_location, previous_metadata_location = NULL
WHERE iceberg_tables.metadata_location IS ?
"""
_DETACH = "DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?"


def move_aside(root: Path, files: Iterable[Path], at: datetime) -> None:
    """Move files of a data folder, and the journals of databases, to the folder of damaged files."""
    for file in files:
        for one in (file.with_name(file.name + suffix) for suffix in _SIDE_FILES):
            if one.exists():
                inside = one.relative_to(root) if one.is_relative_to(root) else Path(one.name)
                target = root / ASIDE / f"{at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}" / inside
                make_folder(target.parent)
                one.rename(target)
                sync(target.parent)
                sync(one.parent)


def restore_layout(root: Path, at: datetime) -> bool:
    """Write the layout file of a folder that this layout's releases have used; return whether that was possible.

    Folders of the earlier layout have neither recorded audits nor a file of their own for calls.
    """
    file = root / LAYOUT_KEY
    if not ((root / "audits").is_dir() or (root / CALLS_FILE).exists()):
        return False
    move_aside(root, [file], at)
    file.write_bytes(layout_body())
    sync(file)
    sync(root)
    return True


def published_sessions(root: Path, table: Table) -> set[date]:
    """Return the sessions of a table, as far as its files show them, also if catalog and metadata are lost.

    A data file that cannot be read counts for all sessions between the bounds that a manifest states.
    """
    found: set[date] = set()
    for file in (root / table.schema / table.name / "data").rglob("*.parquet"):
        try:
            days = pq.read_table(file, columns=[_SESSION], partitioning=None)[_SESSION]
            found |= set(pc.unique(days).to_pylist())
        except Exception:  # noqa: BLE001, S112 (pyarrow raises many kinds of errors for damaged files)
            continue
    for metadata in committed_metadata(root, table):
        stored, _ = open_metadata(metadata, table)
        if stored is None:
            continue
        for snapshot in stored.snapshots():
            try:
                files = [
                    entry.data_file
                    for manifest in snapshot.manifests(stored.io)
                    for entry in manifest.fetch_manifest_entry(stored.io)
                ]
            except Exception:  # noqa: BLE001, S112 (Avro readers raise many kinds of errors for damaged bytes)
                continue
            number = stored.schema().find_field(_SESSION).field_id
            for one in files:
                if not _is_readable(one):
                    found |= set(_sessions_of(one, number))
    return found


def _is_readable(file: DataFile) -> bool:
    try:
        pq.read_table(path_of(file.file_path), columns=[_SESSION], partitioning=None)
    except Exception:  # noqa: BLE001 (as above)
        return False
    return True


def _sessions_of(file: DataFile, number: int) -> list[date]:
    lower, upper = (bounds.get(number) if bounds else None for bounds in (file.lower_bounds, file.upper_bounds))
    if lower is None or upper is None:
        return []
    first, last = (_EPOCH + timedelta(days=int(from_bytes(DateType(), bound))) for bound in (lower, upper))
    return sessions_between(first, last)


def attach(root: Path, table: Table) -> Path | None:
    """Let the catalog name the newest metadata of a table again, if they are intact; return the file, or None.

    Only for a lost entry of the catalog: if the newest metadata are damaged, older ones would lose a publish.
    """
    files = committed_metadata(root, table)
    opened = [open_metadata(file, table)[0] for file in files]
    # A file that cannot be read may be the newest one.
    if not files or None in opened:
        return None
    stored = opened[-1]
    if stored is None or path_of(stored.location()) != str(root / table.schema / table.name):
        return None
    if any(one.is_current for one in damaged_files(stored, table)):
        return None
    point(root, table, f"file://{files[-1]}")
    return files[-1]


def roll_back(root: Path, table: Table) -> tuple[Path, int] | None:
    """Make the newest intact snapshot current that any metadata file has; return the file and the snapshot, or None."""
    for file in reversed(committed_metadata(root, table)):
        stored, _ = open_metadata(file, table)
        if stored is None:
            continue
        damaged = {one for damage in damaged_files(stored, table) for one in damage.snapshots}
        intact = [snapshot for snapshot in stored.snapshots() if snapshot.snapshot_id not in damaged]
        if intact:
            newest = max(intact, key=lambda snapshot: snapshot.sequence_number or 0).snapshot_id
            folder = root / table.schema / table.name
            rewrite = Rewrite(read_from=folder, earlier=stored.location(), target=folder)
            point(root, table, rewrite.write(file.name, drop=damaged, current=newest))
            return file, newest
    return None


def drop_snapshots(root: Path, table: Table, snapshots: Collection[int]) -> None:
    """Write metadata without some snapshots, none of which is current."""
    location = metadata_location(root, table)
    if location is None:
        return
    folder = root / table.schema / table.name
    rewrite = Rewrite(read_from=folder, earlier=f"file://{folder}", target=folder)
    _change(root, table, rewrite.write(Path(path_of(location)).name, drop=snapshots), location)


def adopt(root: Path, built: Path, table: Table, before: str | None) -> bool:
    """Replace a table by one that was built in another folder of the data folder; return whether it has any rows.

    Raises:
        ConcurrentPublish: another process has published since `before` was the table's metadata.
    """
    location = metadata_location(built, table) if (built / CATALOG_FILE).exists() else None
    if location is None:
        _execute(root, _DETACH, (CATALOG_NAME, table.schema, table.name))
        return False
    source, target = (folder / table.schema / table.name for folder in (built, root))
    rewrite = Rewrite(read_from=source, earlier=f"file://{source}", target=target)
    name = Path(path_of(location)).name
    rewrite.link_data(name)
    _change(root, table, rewrite.write(name), before)
    return True


def point(root: Path, table: Table, location: str) -> None:
    """Let the catalog name a metadata file, whatever it names now."""
    _change(root, table, location, metadata_location(root, table))


def _change(root: Path, table: Table, location: str, before: str | None) -> None:
    folder_catalog(root).create_namespace_if_not_exists(table.schema)
    if not _execute(root, _POINT, (CATALOG_NAME, table.schema, table.name, location, before)):
        raise ConcurrentPublish(f"{table.full_name} was published during the repair. Run the repair again")


def _execute(root: Path, statement: str, values: tuple[object, ...]) -> int:
    with closing(sqlite3.connect(root / CATALOG_FILE, timeout=30, isolation_level=None)) as connection:
        connection.execute(DURABLE_COMMITS)
        return connection.execute(statement, values).rowcount


def salvage(pack: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the responses of a damaged pack whose bytes have their checksum, without its list of keys."""
    content = pack.read_bytes()
    start = content.find(_LOCAL_SIGNATURE)
    while start >= 0:
        header = content[start : start + _LOCAL_HEADER.size]
        if len(header) == _LOCAL_HEADER.size:
            *_, checksum, packed, _, name_length, extra = _LOCAL_HEADER.unpack(header)
            begin = start + _LOCAL_HEADER.size
            data = begin + name_length + extra
            try:
                key = content[begin : begin + name_length].decode()
                body = zlib.decompress(content[data : data + packed], -zlib.MAX_WBITS)
            except (UnicodeDecodeError, zlib.error):
                body = None
            if body is not None and zlib.crc32(body) == checksum:
                yield key, body
        start = content.find(_LOCAL_SIGNATURE, start + 1)
