"""Store the calls to each vendor in tables of a SQLite file.

Belongs here: transactions, so that all processes of the machine agree. Does not belong here: the quota arithmetic
(`core.call_limits`), what a plan allows (`sources.plans`), waiting for a call (`ingest.requester`).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from stock_assets.backends.interface import RateLimiter
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import CALLS_FILE, connect_to_read, connect_to_write
from stock_assets.core.call_limits import CallDenied, CallLimits, VendorCalls
from stock_assets.core.clock import Clock

_CREATE = (
    "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, vendor TEXT NOT NULL, called_at TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS calls_by_time ON calls (vendor, called_at)",
    "CREATE TABLE IF NOT EXISTS blocks (vendor TEXT PRIMARY KEY, until TEXT NOT NULL)",
)
_CALLS = "SELECT called_at FROM calls WHERE vendor = ? AND called_at >= ? ORDER BY called_at"
_INSERT = "INSERT INTO calls (vendor, called_at) VALUES (?, ?)"
_POSTPONE = "UPDATE calls SET called_at = ? WHERE id = (SELECT MIN(id) FROM calls WHERE vendor = ? AND called_at = ?)"
_DELETE = "DELETE FROM calls WHERE id = (SELECT MIN(id) FROM calls WHERE vendor = ? AND called_at = ?)"
_BLOCK = "SELECT until FROM blocks WHERE vendor = ?"
_SET_BLOCK = "INSERT OR REPLACE INTO blocks (vendor, until) VALUES (?, ?)"


class SqliteRateLimiter(RateLimiter):
    """Shared by all processes of the machine; SQLite's write lock lets one process at a time count and insert."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def acquire_up_to(
        self,
        most: int,
        vendor: str,
        limits: CallLimits,
        now: Clock,
        *,
        reserve: int = 0,
        replaces: datetime | None = None,
    ) -> int | CallDenied:
        """Count and insert in one transaction; the calls are on disk before they are made."""
        with self._transaction() as connection:
            at = now()
            others = _read(connection, vendor, VendorCalls.counted_since(limits, at)).without(replaces)
            after, denied = others.grant(most, limits, at, reserve=reserve)
            if denied is not None:
                return denied
            granted = len(after.calls) - len(others.calls)
            if replaces is not None:
                connection.execute(_DELETE, (vendor, _to_text(replaces)))
            connection.executemany(_INSERT, [(vendor, _to_text(at))] * granted)
            return granted

    def postpone_all(self, vendor: str, moves: Sequence[tuple[datetime, datetime]]) -> None:
        """Change the rows in one transaction. A loss of power may undo this; the calls themselves are on disk."""
        with self._transaction(durable=False) as connection:
            for call, to in moves:
                connection.execute(_POSTPONE, (_to_text(to), vendor, _to_text(call)))

    def block_until(self, vendor: str, until: datetime) -> None:
        """Insert or replace the vendor's row."""
        with self._transaction() as connection:
            connection.execute(_SET_BLOCK, (vendor, _to_text(until)))

    def recorded(self, vendor: str, since: datetime) -> VendorCalls:
        """Read the vendor's rows."""
        with connect_to_read(self._folder, CALLS_FILE, "blocks") as connection:
            return _read(connection, vendor, since) if connection else VendorCalls()

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        with connect_to_write(self._folder, CALLS_FILE) as connection:
            if not durable:
                connection.execute("PRAGMA synchronous = OFF")
            # The lock is taken before anything is read: two processes must not both see the last call as available.
            connection.execute("BEGIN IMMEDIATE")
            for statement in _CREATE:
                connection.execute(statement)
            yield connection
            connection.execute("COMMIT")


def _read(connection: sqlite3.Connection, vendor: str, since: datetime) -> VendorCalls:
    block = connection.execute(_BLOCK, (vendor,)).fetchone()
    calls = connection.execute(_CALLS, (vendor, _to_text(since))).fetchall()
    return VendorCalls(
        tuple(datetime.fromisoformat(called_at) for (called_at,) in calls),
        datetime.fromisoformat(block[0]) if block else None,
    )


def _to_text(timestamp: datetime) -> str:
    """Format a timestamp so that texts sort as the timestamps do."""
    return timestamp.astimezone(UTC).isoformat(timespec="microseconds")
