"""The requests of the ledger as a table of SQLite, in a file or in memory, and the queries of it.

Belongs here: the table, its indexes and its statements. Does not belong here: where the table is kept (`local.ledger`,
`lakehouse.ledger`), what requests mean (`ingest.ledger_queries`).

Each query seeks in an index: it reads the requests that it returns, and a few entries of the index for each symbol,
however long the ledger is. No statement stays open while a caller works, because it would block writers of the file.

Prices and splits that were received before a purge of their symbol do not count: queries leave them out, unless their
docstring says otherwise.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.errors import Outcome

TABLE = "fetches"
_COLUMNS = (
    "symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions, content_hash, "
    "calls, detail"
)
_CREATE = """
CREATE TABLE IF NOT EXISTS fetches (
    id {id_type} PRIMARY KEY,
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
_INDEXES = (
    # The order of a symbol's requests, with the columns that choose among them.
    """
    CREATE INDEX IF NOT EXISTS fetches_newest_first
    ON fetches (kind, symbol, fetched_at, id, first_session, last_session, outcome)
    """,
    "CREATE INDEX IF NOT EXISTS fetches_by_response ON fetches (response_key)",
    # Sixteen digits are enough to find a body, and half as large as all.
    "CREATE INDEX IF NOT EXISTS fetches_by_content ON fetches (substr(content_hash, 1, 16))",
    "CREATE INDEX IF NOT EXISTS fetches_with_problems ON fetches (kind, fetched_at) WHERE outcome = 'malformed'",
    # Of earlier releases.
    "DROP INDEX IF EXISTS fetches_by_symbol",
)
_INSERT = f"INSERT OR IGNORE INTO fetches (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants)
_SELECT = f"SELECT {_COLUMNS} FROM fetches"  # noqa: S608 (constants)
_NEWEST_FIRST = "ORDER BY fetched_at DESC, id DESC"
_PURGED_AT = f"""
COALESCE((SELECT max(fetched_at) FROM fetches AS purge WHERE kind = '{FetchKind.PURGES}' AND symbol = {{symbol}}), '')
"""  # noqa: S608 (a constant)
"""SQL for the time of the last purge of a symbol; an empty text, which is before every time, if it was never purged."""
_OF_SYMBOL = f"""
{_SELECT} WHERE kind = :kind AND symbol = :symbol AND fetched_at > {_PURGED_AT.format(symbol=":symbol")} {_NEWEST_FIRST}
"""
# Each step seeks the next symbol; a DISTINCT would read every request.
_SYMBOLS = """
WITH RECURSIVE found (symbol) AS (
    SELECT min(symbol) FROM fetches WHERE kind = :kind
    UNION ALL
    SELECT (SELECT min(symbol) FROM fetches WHERE kind = :kind AND symbol > found.symbol)
    FROM found WHERE found.symbol IS NOT NULL
)
SELECT symbol FROM found WHERE symbol IS NOT NULL
"""
_NEXT_RESPONSE = f"""
SELECT id, {_COLUMNS}
FROM fetches
WHERE kind = '{FetchKind.PRICES}' AND symbol = :symbol AND fetched_at >= :first
    AND fetched_at > {_PURGED_AT.format(symbol=":symbol")} AND (fetched_at, id) < (:before, :before_id)
    AND first_session <= :last AND last_session >= :first AND outcome = '{Outcome.OK}'
{_NEWEST_FIRST} LIMIT 1
"""  # noqa: S608 (constants)
# One statement for many symbols: sending one per symbol takes three times as long as finding the requests.
_NEWEST = f"""
SELECT {_COLUMNS}
FROM json_each(:symbols) AS wanted
JOIN fetches AS newest ON newest.id = (
    SELECT id FROM fetches
    WHERE kind = :kind AND symbol = wanted.value AND fetched_at > {_PURGED_AT.format(symbol="wanted.value")}
    {_NEWEST_FIRST} LIMIT 1
)
"""  # noqa: S608 (constants)
_NEWEST_RESPONSES = f"""
SELECT newest.id, {_COLUMNS}
FROM json_each(:wanted) AS wanted
JOIN fetches AS newest ON newest.id = (
    SELECT id
    FROM fetches
    WHERE kind = '{FetchKind.PRICES}' AND symbol = json_extract(wanted.value, '$[0]')
        AND fetched_at >= json_extract(wanted.value, '$[1]')
        AND fetched_at > {_PURGED_AT.format(symbol="json_extract(wanted.value, '$[0]')")}
        AND first_session <= json_extract(wanted.value, '$[2]') AND last_session >= json_extract(wanted.value, '$[1]')
        AND outcome = '{Outcome.OK}'
    {_NEWEST_FIRST} LIMIT 1
)
"""  # noqa: S608 (constants)
_SYMBOLS_PER_STATEMENT = 1_000
_CACHE_KIB = 32_000
# Calling the enumerations takes a third of the time of reading a row.
_KINDS = {str(kind): kind for kind in FetchKind}
_OUTCOMES = {str(outcome): outcome for outcome in Outcome}

_Row = tuple[str, str, str, str, str, str | None, str | None, str, str, int, str]


class LedgerTable:
    """The requests of a ledger, for the queries of one block; threads may share it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    def fetches(
        self,
        kind: FetchKind,
        *,
        symbol: str | None = None,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        limit: int = -1,
        purged: bool = False,
    ) -> list[Fetch]:
        """Return the requests of a kind, newest first; see `FetchLedger.fetches`."""
        conditions: dict[str, object] = {
            "kind = :kind": kind,
            "symbol = :symbol": symbol,
            # As a literal, so that SQLite uses the index of this outcome.
            f"outcome = '{outcome}'": outcome,
            "fetched_at >= :since": since,
        }
        if not purged:
            conditions[f"fetched_at > {_PURGED_AT.format(symbol='fetches.symbol')}"] = _counted(kind)
        where = " AND ".join(text for text, value in conditions.items() if value is not None)
        values = {"kind": kind, "symbol": symbol, "since": since and _timestamp(since), "limit": limit}
        return self._read(f"{_SELECT} WHERE {where} {_NEWEST_FIRST} LIMIT :limit", values)

    def latest(self, kind: FetchKind, symbols: Iterable[str] | None = None) -> dict[str, list[Fetch]]:
        """Return the latest requests of each symbol, newest first, the last one being its newest good response.

        Landing files are included, and no landing file counts as the newest good response. A symbol without a good
        response has all its requests.

        Args:
            kind: kind of the requests.
            symbols: the symbols; None for all symbols of the ledger.
        """
        chosen = self.symbols(kind) if symbols is None else list(symbols)
        rows = self._rows(_NEWEST, {"kind": kind, "symbols": json.dumps(chosen)})
        newest = {fetch.symbol: fetch for fetch in map(_from_row, rows)}
        found = {symbol: [newest[symbol]] for symbol in chosen if symbol in newest}
        with self._lock, closing(self._connection.cursor()) as cursor:
            for symbol, fetches in found.items():
                if _is_good_response(fetches[0]):
                    continue
                fetches.clear()
                for row in cursor.execute(_OF_SYMBOL, {"kind": kind, "symbol": symbol}):
                    fetches.append(_from_row(row))
                    if _is_good_response(fetches[-1]):
                        break
        return found

    def responses(self, symbol: str, wanted: list[date]) -> Iterator[Fetch]:
        """Yield the good price responses of a symbol, newest first, that can contain one of the wanted sessions.

        Args:
            symbol: ticker.
            wanted: sessions, in order. The caller removes those that a response contains; the following responses
                overlap the remaining ones, and none follows when the list is empty.
        """
        [(_, found)] = self.responses_by_symbol({symbol: wanted})
        return found

    def responses_by_symbol(self, wanted: Mapping[str, list[date]]) -> Iterator[tuple[str, Iterator[Fetch]]]:
        """Yield each symbol with its `responses`; the newest ones of many symbols are read together."""
        every = list(wanted)
        for start in range(0, len(every), _SYMBOLS_PER_STATEMENT):
            symbols = every[start : start + _SYMBOLS_PER_STATEMENT]
            # A response contains no session after the day of its request.
            bounds = [(symbol, str(wanted[symbol][0]), str(wanted[symbol][-1])) for symbol in symbols if wanted[symbol]]
            rows = self._rows(_NEWEST_RESPONSES, {"wanted": json.dumps(bounds)}) if bounds else []
            newest = {row[1]: row for row in rows}
            for symbol in symbols:
                yield symbol, self._from_newest(newest.get(symbol), wanted[symbol])

    def _from_newest(self, row: Any, wanted: list[date]) -> Iterator[Fetch]:  # noqa: ANN401 (a row of SQLite)
        while row is not None:
            row_id, symbol, _, fetched_at, *_ = row
            yield _from_row(row[1:])
            if not wanted:
                return
            bounds = {"first": str(wanted[0]), "last": str(wanted[-1])}
            rows = self._rows(_NEXT_RESPONSE, {"symbol": symbol, "before": fetched_at, "before_id": row_id, **bounds})
            row = rows[0] if rows else None

    def with_keys(self, keys: Iterable[str], kind: FetchKind | None = None) -> list[Fetch]:
        """Return the requests with these response keys, newest first, of all kinds or of one; also purged ones."""
        # The plus sign keeps SQLite from reading all requests of a kind instead.
        wanted = "response_key IN (SELECT value FROM json_each(:keys)) AND (:kind IS NULL OR +kind = :kind)"
        select = f"{_SELECT} WHERE {wanted} {_NEWEST_FIRST}"
        return self._read(select, {"keys": json.dumps(list(set(keys))), "kind": kind})

    def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that are the response key of a request of any kind."""
        select = "SELECT response_key FROM fetches WHERE response_key IN (SELECT value FROM json_each(:keys))"
        return {key for (key,) in self._rows(select, {"keys": json.dumps(list(keys))})}

    def with_content(self, kind: FetchKind, content_hash: str) -> list[Fetch]:
        """Return the requests of a kind with a body, newest first; at least 16 digits of its hash are necessary."""
        counted = f"AND fetched_at > {_PURGED_AT.format(symbol='fetches.symbol')}" if _counted(kind) else ""
        select = (
            f"{_SELECT} WHERE substr(content_hash, 1, 16) = :start AND substr(content_hash, 1, :length) = :hash "
            f"AND +kind = :kind {counted} {_NEWEST_FIRST}"
        )
        values = {"start": content_hash[:16], "hash": content_hash, "length": len(content_hash), "kind": kind}
        return self._read(select, values)

    def symbols(self, kind: FetchKind) -> list[str]:
        """Return the symbols with requests of a kind, sorted; also those whose requests were all purged."""
        return [symbol for (symbol,) in self._rows(_SYMBOLS, {"kind": kind})]

    def insert(self, fetches: Iterable[tuple[str | None, Fetch]]) -> None:
        """Insert requests with their ids, or None for the next integer; an id that the table contains is skipped."""
        rows = [(row_id, *_to_row(fetch)) for row_id, fetch in fetches]
        with self._lock:
            self._connection.executemany(_INSERT, rows)

    def _read(self, select: str, values: Mapping[str, object]) -> list[Fetch]:
        return [_from_row(row) for row in self._rows(select, values)]

    def _rows(self, select: str, values: Mapping[str, object]) -> list[Any]:
        with self._lock:
            return self._connection.execute(select, values).fetchall()


def _counted(kind: FetchKind) -> bool | None:
    """Return True for the kinds that a purge ends; None for the others."""
    return kind in {FetchKind.PRICES, FetchKind.SPLITS} or None


def _is_good_response(fetch: Fetch) -> bool:
    return fetch.outcome is Outcome.OK and fetch.calls > 0


def create_table(connection: sqlite3.Connection, *, id_type: str = "INTEGER") -> None:
    """Create the table and its indexes where they are missing; ids that are not integers sort by time of recording."""
    connection.execute(_CREATE.format(id_type=id_type))
    for index in _INDEXES:
        connection.execute(index)


def table_in_memory() -> sqlite3.Connection:
    """Open an empty table in memory, whose ids are texts."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    create_table(connection, id_type="TEXT")
    return connection


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _to_row(fetch: Fetch) -> tuple[str | int | None, ...]:
    return (
        fetch.symbol,
        fetch.kind,
        _timestamp(fetch.fetched_at),
        fetch.outcome,
        fetch.response_key,
        fetch.first_session.isoformat() if fetch.first_session else None,
        fetch.last_session.isoformat() if fetch.last_session else None,
        json.dumps([session.isoformat() for session in fetch.missing_sessions]),
        fetch.content_hash,
        fetch.calls,
        fetch.detail,
    )


def _from_row(row: _Row) -> Fetch:
    symbol, kind, fetched_at, outcome, response_key, first, last, missing, content_hash, calls, detail = row
    return Fetch(
        symbol=symbol,
        kind=_KINDS[kind],
        fetched_at=datetime.fromisoformat(fetched_at),
        outcome=_OUTCOMES[outcome],
        response_key=response_key,
        first_session=date.fromisoformat(first) if first else None,
        last_session=date.fromisoformat(last) if last else None,
        missing_sessions=tuple(map(date.fromisoformat, json.loads(missing))) if missing != "[]" else (),
        content_hash=content_hash,
        calls=calls,
        detail=detail,
    )
