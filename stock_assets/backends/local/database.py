"""Open SQLite files: `ledger.db` of the fetch ledger, `calls.db` of the rate limiter, and other files for reading.

Belongs here: how processes of one machine wait for each other, and reading without creating anything. Does not belong
here: tables and statements (`ledger`, `rate_limiter`, `table_reader`), writing Iceberg's catalog (`iceberg`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from stock_assets.backends.damage_texts import describe
from stock_assets.backends.interface import Damage, Part
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.full_disk import typed_full_disk
from stock_assets.core.errors import DamagedFiles

LEDGER_FILE = "ledger.db"
CALLS_FILE = "calls.db"
"""A file of its own: some transactions do not wait for the disk, and a loss of power must not damage the ledger."""
DURABLE_COMMITS = "PRAGMA journal_mode = TRUNCATE"
"""Each connection that writes sends this. By default SQLite commits by deleting its journal, and does not write the
entry of the folder to disk: a power failure brings the journal back, and the next connection undoes the commit."""
CATALOG_FILE = "catalog.db"
_PARTS = {LEDGER_FILE: Part.LEDGER, CALLS_FILE: Part.CALLS, CATALOG_FILE: Part.CATALOG}
"""In the order in which `verify` reports them."""
_BUSY_SECONDS = 30
_HAS_TABLE = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"


@contextmanager
def connect_to_write(folder: DataFolder, file: str) -> Iterator[sqlite3.Connection]:
    """Open the file for one call, and create it if it is missing.

    Each statement commits unless a BEGIN was sent. There is no write-ahead log: switching a new file to it does not
    wait for other processes ("database is locked" at once), and for connections that live for one call it is slower.
    """
    path = folder.root / file
    with typed_full_disk(folder.root), _typed_damage(path):
        folder.prepare()
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute(DURABLE_COMMITS)
            yield connection


def connect_to_read(folder: DataFolder, file: str, table: str) -> AbstractContextManager[sqlite3.Connection | None]:
    """Open a file of the data folder for one call; see `open_to_read`."""
    return open_to_read(folder.root / file, table)


@contextmanager
def open_to_read(path: Path, table: str) -> Iterator[sqlite3.Connection | None]:
    """Open a file for one call, or yield None if the file or the table does not exist; nothing is created."""
    if not path.exists():
        yield None
        return
    # mode=rw does not create the file, and SQLite falls back to reading where it may not write. mode=ro would fail
    # after a writer was killed, because the writer's journal has to be rolled back first.
    address = f"{path.as_uri()}?mode=rw"
    with (
        _typed_damage(path),
        closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        ) as connection,
    ):
        [(tables,)] = connection.execute(_HAS_TABLE, (table,)).fetchall()
        yield connection if tables else None


def database_problem(file: Path) -> str:
    """Return what is wrong with a SQLite file; empty if it is intact, does not exist, or cannot be opened now."""
    if not file.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as opened:
            [(result,), *_] = opened.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        # Locked, or without permission: this proves nothing about the content. SQLite has one code for damage here.
        return f"it is damaged: {error}" if error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT else ""
    except sqlite3.DatabaseError as error:
        return f"it is damaged: {error}"
    return "" if result == "ok" else f"it is damaged: {result}"


def damaged_databases(root: Path) -> list[Damage]:
    """Return the damaged databases of a data folder."""
    problems = {name: database_problem(root / name) for name in _PARTS}
    return [Damage(_PARTS[name], str(root / name), why) for name, why in problems.items() if why]


@contextmanager
def _typed_damage(file: Path) -> Iterator[None]:
    """Raise `DamagedFiles` for an error of SQLite if the file is damaged."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        part = _PARTS.get(file.name)
        if part is None or not (why := database_problem(file)):
            raise
        raise DamagedFiles([describe(Damage(part, str(file), why))]) from error
