"""Find damaged files of a data folder: databases, the catalog, the files of published tables, packs.

Belongs here: what is wrong with which file. Does not belong here: raw responses, which are compared with the ledger
(`maintenance.verify`), consequences and remedies (`maintenance.findings`), repairing (`repair`).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from pyiceberg.io import PY_IO_IMPL
from pyiceberg.manifest import DataFile
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.interface import Damage, Part
from stock_assets.backends.local.database import CATALOG_FILE, LEDGER_FILE, damaged_databases
from stock_assets.backends.local.digest_names import digest_problem
from stock_assets.backends.local.ledger import lost_ledger
from stock_assets.backends.local.packs import FOLDER as PACKS_FOLDER
from stock_assets.backends.local.packs import damage_of_pack
from stock_assets.backends.local.table_folder import path_of, require_metadata_inside
from stock_assets.backends.local.table_reader import LocalFileIO, metadata_location
from stock_assets.backends.table_check import CheckContent, damaged_files
from stock_assets.core.tables import PUBLISHED_TABLES, Table
from stock_assets.core.text import plural


def damage(root: Path, *, deep: bool) -> Iterator[Damage]:
    """Find the damaged and missing files of a data folder, raw responses apart."""
    databases = damaged_databases(root)
    yield from databases
    damaged = {one.part for one in databases}
    if Part.LEDGER not in damaged and (why := lost_ledger(root)):
        yield Damage(Part.LEDGER, str(root / LEDGER_FILE), why)
    if Part.CATALOG not in damaged:
        for table in PUBLISHED_TABLES:
            yield from table_damage(root, table, deep=deep)
    for pack in sorted((root / PACKS_FOLDER).rglob("*.zip")):
        if why := damage_of_pack(pack, deep=deep):
            yield Damage(Part.PACK, str(pack), why)


def table_damage(root: Path, table: Table, *, deep: bool) -> list[Damage]:
    """Find the damaged and missing files of a published table, for each retained snapshot."""
    catalog = str(root / CATALOG_FILE)
    location = metadata_location(root, table)
    if location is None:
        lost = committed_metadata(root, table)
        why = f"it does not contain the table, which has {lost[-1].name}" if lost else ""
        return [Damage(Part.CATALOG, catalog, why, table)] if why else []
    file = Path(path_of(location))
    inside = root / table.schema / table.name / "metadata" / file.name
    if file != inside and not file.exists() and not inside.exists():
        return [Damage(Part.CATALOG, catalog, f"it names {file}, which does not exist", table)]
    require_metadata_inside(root, table.full_name, location)
    stored, why = open_metadata(file, table)
    if stored is None:
        return [Damage(Part.TABLE, str(file), why, table)]
    found = damaged_files(stored, table, check_content(stored) if deep else footer_problem)
    return [
        Damage(one.part, path_of(one.file), one.why, table, one.snapshots, is_current=one.is_current) for one in found
    ]


def committed_metadata(root: Path, table: Table) -> list[Path]:
    """Return the metadata files of a table that prove that it has rows, newest last.

    Each commit counts one up in the name; the time in a file may be earlier than before, if the clock was set back.
    The first metadata file is written before the catalog contains the table, so it alone proves nothing.
    """
    folder = root / table.schema / table.name / "metadata"
    files = [file for file in folder.glob("*.metadata.json") if not file.name.startswith("00000-")]
    return sorted(files, key=lambda file: (file.name.partition("-")[0], _last_updated(file), file.name))


def open_metadata(file: Path, table: Table) -> tuple[IcebergTable | None, str]:
    """Open a table by a metadata file; return None and the reason if the file is missing, damaged or inconsistent."""
    try:
        stored = StaticTable.from_metadata(
            f"file://{file}", {PY_IO_IMPL: f"{LocalFileIO.__module__}.{LocalFileIO.__qualname__}"}
        )
        names = stored.schema().column_names
        current = stored.metadata.current_snapshot_id
    except FileNotFoundError:
        return None, "it is missing"
    except Exception as error:  # noqa: BLE001 (pyiceberg raises many kinds of errors for damaged metadata)
        return None, f"it cannot be read: {type(error).__name__}: {str(error).splitlines()[0]}"
    if names != table.column_names[: len(names)]:
        wrong = sorted(set(names) ^ set(table.column_names[: len(names)]))
        return None, f"its columns differ from {table.full_name}: {', '.join(wrong)}"
    if current is not None and stored.current_snapshot() is None:
        return None, f"it does not contain its current snapshot {current}"
    return stored, ""


def footer_problem(file: DataFile) -> str:
    """Compare the number of rows in a data file's footer with its manifest; return what is wrong."""
    return _wrong_rows(pq.read_metadata(path_of(file.file_path)).num_rows, file)


def _wrong_rows(rows: int, file: DataFile) -> str:
    return (
        "" if rows == file.record_count else f"it has {plural(rows, 'row')}, its manifest states {file.record_count:,}"
    )


def check_content(stored: IcebergTable) -> CheckContent:
    """Return the check of a data file's content: its digest, if its name has one, its pages, rows and statistics."""
    names = {field.field_id: field.name for field in stored.schema().fields}

    def check(file: DataFile) -> str:
        path = Path(path_of(file.file_path))
        if why := digest_problem(path):
            return why
        rows = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        if why := _wrong_rows(rows.num_rows, file):
            return why
        for number, count in (file.null_value_counts or {}).items():
            name = names.get(number, "")
            if name in rows.column_names and rows[name].null_count != count:
                return f"column {name} has {plural(rows[name].null_count, 'NULL')}, its manifest states {count:,}"
        return ""

    return check


def _last_updated(file: Path) -> int:
    try:
        return int(json.loads(file.read_bytes())["last-updated-ms"])
    except (ValueError, KeyError, TypeError, OSError):
        return -1
