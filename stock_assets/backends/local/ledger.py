"""The fetch ledger as one SQLite file."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from stock_assets.backends.interface import Fetch, FetchKind, FetchLedger
from stock_assets.backends.local.database import connect
from stock_assets.core.errors import Outcome

_CREATE = """
CREATE TABLE IF NOT EXISTS fetches (
    id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    kind TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    response_key TEXT NOT NULL,
    first_session TEXT,
    last_session TEXT,
    missing_sessions TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    calls INTEGER NOT NULL,
    detail TEXT NOT NULL
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS fetches_by_symbol ON fetches (kind, symbol, fetched_at)"
_INSERT = """
INSERT INTO fetches
    (symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions, content_hash,
    calls, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SELECT = """
SELECT symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions, content_hash,
    calls, detail
FROM fetches
WHERE kind = :kind AND (:symbol IS NULL OR symbol = :symbol) AND (:outcome IS NULL OR outcome = :outcome)
ORDER BY fetched_at DESC, id DESC
"""


class SqliteLedger(FetchLedger):
    """Shared by all processes of the machine; a connection lives for one call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, fetch: Fetch) -> None:
        """Insert one row and commit it to disk."""
        with self._connection() as connection:
            connection.execute(_INSERT, _to_row(fetch))

    def fetches(self, kind: FetchKind, *, symbol: str | None = None, outcome: Outcome | None = None) -> list[Fetch]:
        """Select by the arguments given."""
        with self._connection() as connection:
            rows = connection.execute(_SELECT, {"kind": kind, "symbol": symbol, "outcome": outcome}).fetchall()
        return [_from_row(row) for row in rows]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with connect(self._path) as connection:
            connection.execute(_CREATE)
            connection.execute(_INDEX)
            yield connection


def _to_row(fetch: Fetch) -> tuple[str | int | None, ...]:
    return (
        fetch.symbol,
        fetch.kind,
        fetch.fetched_at.astimezone(UTC).isoformat(timespec="microseconds"),
        fetch.outcome,
        fetch.response_key,
        fetch.first_session.isoformat() if fetch.first_session else None,
        fetch.last_session.isoformat() if fetch.last_session else None,
        json.dumps([session.isoformat() for session in fetch.missing_sessions]),
        fetch.content_hash,
        fetch.calls,
        fetch.detail,
    )


def _from_row(row: tuple[str, str, str, str, str, str | None, str | None, str, str, int, str]) -> Fetch:
    symbol, kind, fetched_at, outcome, response_key, first, last, missing_sessions, content_hash, calls, detail = row
    return Fetch(
        symbol=symbol,
        kind=FetchKind(kind),
        fetched_at=datetime.fromisoformat(fetched_at),
        outcome=Outcome(outcome),
        response_key=response_key,
        first_session=date.fromisoformat(first) if first else None,
        last_session=date.fromisoformat(last) if last else None,
        missing_sessions=tuple(date.fromisoformat(session) for session in json.loads(missing_sessions)),
        content_hash=content_hash,
        calls=calls,
        detail=detail,
    )
