"""A mirror of the ledger's objects: a SQLite file in the user's cache that the processes of this machine share.

Belongs here: the file, its lock, and which objects it contains. Does not belong here: listing and reading objects
(`ledger`), the table of requests and its queries (`backends.ledger_table`).

The bucket is the source of truth: the file only saves reading objects again. An object never changes, so its requests
are inserted once, in the transaction that marks the object as read; a kill leaves a file with fewer objects. One
process at a time lists the objects and changes the file. The others read a state between two transactions. Since they
listed the objects before, and no transaction removes a request, that state contains all that they listed.

A file that does not contain exactly the listed objects in the end (the ledger was deleted, or another bucket has the
name now) is replaced, like a damaged one. The new file has a new name: SQLite would apply the journal of a new file to
the old one that another process still reads. Where the folder cannot be written, the table is in memory.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from uuid import uuid4

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse import ledger_format
from stock_assets.backends.lakehouse.ledger_format import COLUMNS, row
from stock_assets.backends.ledger_schema import create_indexes, create_table_without_indexes
from stock_assets.backends.ledger_table import Entry, LedgerTable

_VERSION = 1
"""Of the file's tables: each version has its own files."""
_BUSY_SECONDS = 60.0
_LOCKED_SECONDS = 600.0
"""Longest time that another process may need to read a whole ledger; this process then reads it into memory."""
_POLL_SECONDS = 0.02
_KEPT_SECONDS = 90 * 24 * 3600
"""Files of ledgers that no process has changed for this time are deleted."""
_TABLES = """
CREATE TABLE objects (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, entries INTEGER NOT NULL)
"""
_OBJECT_COLUMN = "ALTER TABLE fetches ADD COLUMN object INTEGER"
_OBJECT_INDEX = "CREATE INDEX IF NOT EXISTS fetches_of_object ON fetches (object)"
_CHECK_OBJECTS = "SELECT number, key, entries FROM objects LIMIT 0"
_CHECK_FETCHES = f"SELECT {', '.join(COLUMNS)}, object FROM fetches LIMIT 0"  # noqa: S608 (constants)
# A request of a small object is found again in the pack that replaces the object.
_INSERT = f"""
INSERT INTO fetches ({", ".join(COLUMNS)}, object) VALUES ({", ".join("?" * len(COLUMNS))}, ?)
ON CONFLICT (id) DO UPDATE SET object = excluded.object
"""  # noqa: S608 (constants)
# The pack that is written may be known: a machine wrote it and was killed before it removed what the pack replaces.
_INSERT_OBJECT = """
INSERT INTO objects (key, entries) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET entries = excluded.entries
RETURNING number
"""
_IN_OBJECTS = "SELECT 1 FROM fetches WHERE object IN (SELECT value FROM json_each(?)) LIMIT 1"
# In the order of insertion, which is the order in the object.
_OF_OBJECTS = f"""
SELECT objects.key, {", ".join(f"fetches.{column}" for column in COLUMNS)}
FROM objects JOIN fetches ON fetches.object = objects.number
WHERE objects.key IN (SELECT value FROM json_each(?)) ORDER BY objects.number, fetches.rowid
"""  # noqa: S608 (constants)
_FORGET = "DELETE FROM objects WHERE number IN (SELECT value FROM json_each(?))"

_Result = TypeVar("_Result")
_Opened = tuple[sqlite3.Connection, Lock]


class LedgerMirror:
    """The table of a ledger's requests, in a file or in memory. One thread at a time may change it.

    Args:
        address: address of the ledger, which no other ledger has.
        folder: folder of the file; it may not exist.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._folder = folder
        self._name = sha256(f"{_VERSION} {address}".encode()).hexdigest()[:32]
        self._file: Path | None = None
        self._opened: _Opened | None = None
        self._restarts = 0
        self.in_memory = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Open the table, and let no other process change it during the block."""
        with contextlib.ExitStack() as stack:
            if not self.in_memory:
                try:
                    stack.callback(os.close, self._lock())
                    self._open()
                except (OSError, sqlite3.DatabaseError):
                    self._open_memory()
            yield

    def table(self, repair: Callable[[sqlite3.Connection], _Opened]) -> LedgerTable:
        """Return the opened table for some queries.

        Args:
            repair: returns another connection and its lock in place of one whose file is damaged.
        """
        return _MirroredTable(*self.opened, None if self.in_memory else repair)

    @property
    def is_open(self) -> bool:
        """Return whether the table was opened."""
        return self._opened is not None

    @property
    def opened(self) -> _Opened:
        """The connection and its lock."""
        if self._opened is None:
            raise RuntimeError("the table is opened by `locked`")
        return self._opened

    def counts(self) -> dict[str, int]:
        """Return the objects that the table contains, each with the number of its requests."""
        with self._table.transaction() as connection:
            return dict(connection.execute("SELECT key, entries FROM objects").fetchall())

    def bodies(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield objects rebuilt from the table; the caller compares each with its digest in the bucket.

        Raises:
            sqlite3.DatabaseError: a row has a value that no request has: the file is damaged.
        """
        with self._table.transaction() as connection:
            rows = connection.execute(_OF_OBJECTS, (json.dumps(keys),)).fetchall()
        for key, of_object in groupby(rows, key=itemgetter(0)):
            try:
                body = ledger_format.write(ledger_format.entry(values) for _, *values in of_object)
            except (AttributeError, TypeError, ValueError) as error:
                raise sqlite3.DatabaseError(f"a request of {key} is damaged: {error}") from error
            yield key, body

    def add(self, objects: Mapping[str, Sequence[ledger_format.Entry]]) -> None:
        """Insert the requests of objects, all or none; requests that the table contains are then of these objects."""
        rows = {key: [row(entry) for entry in entries] for key, entries in objects.items()}
        with self._table.transaction() as connection:
            for key, found in rows.items():
                [(number,)] = connection.execute(_INSERT_OBJECT, (key, len(found))).fetchall()
                connection.executemany(_INSERT, ((*values, number) for values in found))

    def create_indexes(self) -> None:
        """Create the indexes where they are missing: a new table is filled without them."""
        with self._table.transaction() as connection:
            create_indexes(connection)
            connection.execute(_OBJECT_INDEX)

    def keep(self, keys: Collection[str]) -> bool:
        """Forget the objects that are not listed any more, since the table has their requests from other objects.

        Returns:
            False if it has not; nothing is changed then.
        """
        listed = set(keys)
        with self._table.transaction() as connection:
            known = connection.execute("SELECT number, key FROM objects").fetchall()
            gone = json.dumps([number for number, key in known if key not in listed])
            if gone == "[]":
                return True
            if connection.execute(_IN_OBJECTS, (gone,)).fetchone():
                return False
            connection.execute(_FORGET, (gone,))
            return True

    def restart(self) -> None:
        """Begin an empty table, in a new file; in memory if that was necessary before."""
        self._restarts += 1
        try:
            if self.in_memory or self._restarts > 1:
                self._open_memory()
            else:
                self._new_file()
        except (OSError, sqlite3.DatabaseError):
            self._open_memory()

    @property
    def _table(self) -> LedgerTable:
        return LedgerTable(*self.opened)

    def _lock(self) -> int:
        """Wait for the lock, and return the descriptor that holds it until it is closed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / f"{self._name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waits_until = time.monotonic() + _LOCKED_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if not isinstance(error, BlockingIOError) or time.monotonic() > waits_until:
                    os.close(descriptor)
                    raise
            else:
                return descriptor
            time.sleep(_POLL_SECONDS)

    def _open(self) -> None:
        """Open the file that other processes use now, or a new one."""
        if self._file is not None and self._file.exists():
            return
        match list(self._folder.glob(f"{self._name}.*.db")):
            case [file]:
                try:
                    self._connect(file)
                except sqlite3.DatabaseError:
                    self._new_file()
            case _:
                self._new_file()

    def _new_file(self) -> None:
        """Delete the files of this ledger, and the forgotten ones of others; create a new file."""
        for old in self._folder.glob("*.db*"):
            forgotten = time.time() - old.stat().st_mtime > _KEPT_SECONDS
            if forgotten or old.name.startswith(f"{self._name}."):
                old.unlink(missing_ok=True)
        file = self._folder / f"{self._name}.{uuid4().hex}.db"
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._connect(file)

    def _connect(self, file: Path) -> None:
        connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        try:
            _create_tables(connection)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        self._file, self._opened = file, (connection, Lock())

    def _open_memory(self) -> None:
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        _create_tables(connection)
        self.in_memory, self._file, self._opened = True, None, (connection, Lock())


class _MirroredTable(LedgerTable):
    """A table whose file may be damaged: it is built again then, and the query is repeated."""

    def __init__(
        self, connection: sqlite3.Connection, lock: Lock, repair: Callable[[sqlite3.Connection], _Opened] | None
    ) -> None:
        super().__init__(connection, lock)
        self._repair = repair

    def latest(
        self, kind: FetchKind, symbols: Iterable[str] | None = None, newest: Mapping[str, Entry] | None = None
    ) -> dict[str, list[Fetch]]:
        chosen = None if symbols is None else list(symbols)
        return self._repaired(lambda: super(_MirroredTable, self).latest(kind, chosen, newest))

    def _rows(self, select: str, values: Mapping[str, object]) -> list[Any]:
        return self._repaired(lambda: super(_MirroredTable, self)._rows(select, values))

    def _repaired(self, query: Callable[[], _Result]) -> _Result:
        try:
            return query()
        except sqlite3.DatabaseError:
            if self._repair is None:
                raise
            self._connection, self._lock = self._repair(self._connection)
            return query()


def _create_tables(connection: sqlite3.Connection) -> None:
    with closing(connection.cursor()) as cursor, connection:
        cursor.execute("BEGIN IMMEDIATE")
        if not cursor.execute("SELECT name FROM sqlite_master").fetchone():
            create_table_without_indexes(connection, id_type="TEXT")
            cursor.execute(_OBJECT_COLUMN)
            cursor.execute(_TABLES)
        cursor.execute(_CHECK_OBJECTS)
        cursor.execute(_CHECK_FETCHES)
