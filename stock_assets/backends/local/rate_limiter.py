"""The call budget as tables of the ledger's SQLite file.

Belongs here: counting calls so that all processes of the machine agree. Does not belong here: what a plan allows
(`ingest.plans`), waiting for a call (`ingest.calls`).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stock_assets.backends.local.database import connect
from stock_assets.backends.rate_limiter import CallDenied, RateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock

_CREATE = (
    "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, vendor TEXT NOT NULL, called_at TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS calls_by_time ON calls (vendor, called_at)",
    "CREATE TABLE IF NOT EXISTS closures (vendor TEXT PRIMARY KEY, until TEXT NOT NULL)",
)
_COUNT = "SELECT COUNT(*) FROM calls WHERE vendor = ? AND called_at >= ?"
_NTH_NEWEST = "SELECT called_at FROM calls WHERE vendor = ? ORDER BY called_at DESC LIMIT 1 OFFSET ?"
_TAKE = "INSERT INTO calls (vendor, called_at) VALUES (?, ?)"
_CLOSED = "SELECT until FROM closures WHERE vendor = ? AND until > ?"
_CLOSE = "INSERT INTO closures (vendor, until) VALUES (?, ?) ON CONFLICT (vendor) DO UPDATE SET until = excluded.until"


class SqliteRateLimiter(RateLimiter):
    """Shared by all processes of the machine; one at a time counts and takes, under SQLite's write lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self, vendor: str, limits: CallLimits, now: Clock, *, reserve: int = 0) -> CallDenied | None:
        """Count and insert in one transaction, on disk before the call is made."""
        with self._transaction() as connection:
            at = now()
            refused = _refusal(connection, vendor, limits, at, reserve)
            if refused is None:
                connection.execute(_TAKE, (vendor, _text(at)))
            return refused

    def close(self, vendor: str, until: datetime) -> None:
        """Write the moment."""
        with self._transaction() as connection:
            connection.execute(_CLOSE, (vendor, _text(until)))

    def blocked_until(self, vendor: str, at: datetime) -> datetime | None:
        """Read the moment."""
        with self._transaction() as connection:
            return _closed(connection, vendor, at)

    def spent(self, vendor: str, since: datetime) -> int:
        """Count the rows."""
        with self._transaction() as connection:
            return _count(connection, vendor, since)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with connect(self._path) as connection:
            # The lock is taken before anything is read: two processes must not both see the last call as free.
            connection.execute("BEGIN IMMEDIATE")
            for statement in _CREATE:
                connection.execute(statement)
            yield connection
            connection.execute("COMMIT")


def _refusal(
    connection: sqlite3.Connection, vendor: str, limits: CallLimits, at: datetime, reserve: int
) -> CallDenied | None:
    closed = _closed(connection, vendor, at)
    if closed is not None:
        return CallDenied(closed, quota_used_up=True)
    if limits.per_day is not None and _count(connection, vendor, limits.day_start(at)) >= limits.per_day - reserve:
        return CallDenied(limits.next_reset(at), quota_used_up=True)
    free_at = max((_token_back(connection, vendor, *rate, at) for rate in limits.rates), default=at)
    return CallDenied(free_at, quota_used_up=False) if free_at > at else None


def _token_back(connection: sqlite3.Connection, vendor: str, calls: int, window: timedelta, at: datetime) -> datetime:
    """Give the moment from which one of the window's tokens is there: the n-th newest call plus the window."""
    row = connection.execute(_NTH_NEWEST, (vendor, calls - 1)).fetchone()
    if row is None:
        return at
    # A clock that was set back makes calls lie in the future; no token is away for longer than its window.
    return min(datetime.fromisoformat(row[0]), at) + window


def _count(connection: sqlite3.Connection, vendor: str, since: datetime) -> int:
    row = connection.execute(_COUNT, (vendor, _text(since))).fetchone()
    return int(row[0])


def _closed(connection: sqlite3.Connection, vendor: str, at: datetime) -> datetime | None:
    row = connection.execute(_CLOSED, (vendor, _text(at))).fetchone()
    return datetime.fromisoformat(row[0]) if row else None


def _text(moment: datetime) -> str:
    """Write a moment so that texts sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
