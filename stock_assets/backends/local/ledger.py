"""Store the fetch ledger in a table of one SQLite file.

Belongs here: the table and its statements. Does not belong here: opening the file (`database`), what requests mean
(`ingest`).
"""

import json
from datetime import UTC, date, datetime

from stock_assets.backends.interface import Fetch, FetchKind, FetchLedger
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.database import connect_to_read, connect_to_write
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

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def record(self, fetch: Fetch) -> None:
        """Insert one row and commit it to disk."""
        with connect_to_write(self._folder) as connection:
            connection.execute(_CREATE)
            connection.execute(_INDEX)
            connection.execute(_INSERT, _to_row(fetch))

    def fetches(self, kind: FetchKind, *, symbol: str | None = None, outcome: Outcome | None = None) -> list[Fetch]:
        """Select the rows that match the arguments."""
        with connect_to_read(self._folder, "fetches") as connection:
            if connection is None:
                return []
            rows = connection.execute(_SELECT, {"kind": kind, "symbol": symbol, "outcome": outcome}).fetchall()
        return [_from_row(row) for row in rows]


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
    symbol, kind, fetched_at, outcome, response_key, first, last, missing, content_hash, calls, detail = row
    return Fetch(
        symbol=symbol,
        kind=FetchKind(kind),
        fetched_at=datetime.fromisoformat(fetched_at),
        outcome=Outcome(outcome),
        response_key=response_key,
        first_session=date.fromisoformat(first) if first else None,
        last_session=date.fromisoformat(last) if last else None,
        missing_sessions=tuple(date.fromisoformat(session) for session in json.loads(missing)),
        content_hash=content_hash,
        calls=calls,
        detail=detail,
    )
