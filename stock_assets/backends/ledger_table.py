"""The requests of the ledger as a table of SQLite, in a file or in memory, and the queries of it.

Belongs here: the statements of the table. Does not belong here: the table and its indexes (`ledger_schema`), where the
table is kept (`local.ledger`, `lakehouse.ledger`), what requests mean (`ingest.ledger_queries`).

Each query seeks in an index: it reads the requests that it returns, the newest one of each symbol, and a few entries of
the index for each symbol, however long the ledger is. No statement stays open while a caller works, because it would
block writers of the file.

Prices and splits that were received before a purge of their symbol do not count: queries leave them out, unless their
docstring says otherwise.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_schema import IS_REQUEST
from stock_assets.core.errors import Outcome

_COLUMNS = (
    "symbol, kind, fetched_at, outcome, response_key, first_session, last_session, missing_sessions, content_hash, "
    "calls, detail"
)
_INSERT = f"INSERT OR IGNORE INTO fetches (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants)
_SELECT = f"SELECT {_COLUMNS}, id FROM fetches"  # noqa: S608 (constants)
_NEWEST_FIRST = "ORDER BY fetched_at DESC, id DESC"
_PURGED_AT = f"""
COALESCE((SELECT max(fetched_at) FROM fetches AS purge WHERE kind = '{FetchKind.PURGES}' AND symbol = {{symbol}}), '')
"""  # noqa: S608 (a constant)
"""SQL for the time of the last purge of a symbol; an empty text, which is before every time, if it was never purged."""
_OF_SYMBOL = f"""
{_SELECT} WHERE kind = :kind AND symbol = :symbol AND fetched_at > {_PURGED_AT.format(symbol=":symbol")} {_NEWEST_FIRST}
"""
_OLDER_REQUESTS = f"""
{_SELECT}
WHERE kind = :kind AND symbol = :symbol AND {IS_REQUEST} AND fetched_at > {_PURGED_AT.format(symbol=":symbol")}
    AND (fetched_at, id) < (:before, :before_id)
{_NEWEST_FIRST}
"""
"""Requests of a symbol before one of its rows, without landing files."""
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
# One statement for many symbols: sending one per symbol takes twice as long. The newest request is read without any
# condition, because it is nearly always the wanted one; with conditions, the search takes half as long again.
_NEWEST = f"""
SELECT {_COLUMNS}, newest.id
FROM json_each(:symbols) AS wanted
JOIN fetches AS newest ON newest.id = (
    SELECT id FROM fetches WHERE kind = :kind AND symbol = wanted.value {_NEWEST_FIRST} LIMIT 1
)
"""  # noqa: S608 (constants)
# Each step seeks the last entry of the symbol before: its newest request. CROSS JOIN keeps the order of the loops.
_NEWEST_OF_ALL = f"""
WITH RECURSIVE found (id, symbol) AS (
    SELECT id, symbol FROM fetches WHERE id = (
        SELECT id FROM fetches WHERE kind = :kind ORDER BY symbol DESC, fetched_at DESC, id DESC LIMIT 1
    )
    UNION ALL
    SELECT newest.id, newest.symbol
    FROM found CROSS JOIN fetches AS newest ON newest.id = (
        SELECT id FROM fetches WHERE kind = :kind AND symbol < found.symbol
        ORDER BY symbol DESC, fetched_at DESC, id DESC LIMIT 1
    )
)
SELECT {", ".join(f"newest.{column}" for column in _COLUMNS.split(", "))}, newest.id
FROM found CROSS JOIN fetches AS newest ON newest.id = found.id
"""  # noqa: S608 (constants)
# CROSS JOIN keeps the order of the loops: for each symbol, the entries of the index since a time.
_SINCE = f"""
SELECT {", ".join(f"found.{column}" for column in _COLUMNS.split(", "))}, found.id
FROM json_each(:wanted) AS wanted
CROSS JOIN fetches AS found
WHERE found.kind = :kind AND found.symbol = json_extract(wanted.value, '$[0]')
    AND found.fetched_at >= json_extract(wanted.value, '$[1]')
ORDER BY found.symbol, found.fetched_at DESC, found.id DESC
"""  # noqa: S608 (constants)
_PURGES = f"SELECT symbol, max(fetched_at) FROM fetches WHERE kind = '{FetchKind.PURGES}' GROUP BY symbol"  # noqa: S608 (a constant)
_NEXT_RESPONSES = f"""
SELECT {_COLUMNS}, following.id
FROM json_each(:wanted) AS wanted
JOIN fetches AS following ON following.id = (
    SELECT id
    FROM fetches
    WHERE kind = '{FetchKind.PRICES}' AND symbol = json_extract(wanted.value, '$[0]')
        AND fetched_at >= json_extract(wanted.value, '$[1]')
        AND fetched_at > {_PURGED_AT.format(symbol="json_extract(wanted.value, '$[0]')")}
        AND (fetched_at, id) < (json_extract(wanted.value, '$[3]'), json_extract(wanted.value, '$[4]'))
        AND first_session <= json_extract(wanted.value, '$[2]') AND last_session >= json_extract(wanted.value, '$[1]')
        AND outcome = '{Outcome.OK}'
    {_NEWEST_FIRST} LIMIT 1
)
"""  # noqa: S608 (constants)
_AFTER_ALL = ("~", 0)
"""Time and id that come after those of every request."""
_CACHE_KIB = 32_000
_FILES_IN_A_ROW = 5
"""Landing files of a symbol in a row, without a request between, after which its older files are of no interest."""
# Calling the enumerations takes a third of the time of reading a row.
_KINDS = {str(kind): kind for kind in FetchKind}
_OUTCOMES = {str(outcome): outcome for outcome in Outcome}

_Row = tuple[str, str, str, str, str, str | None, str | None, str, str, int, str, int | str]

Entry = tuple[Fetch, int | str]
"""A request and the id of its row, after which older requests are searched."""


class LedgerTable:
    """The requests of a ledger, for the queries of one block; threads may share it."""

    def __init__(self, connection: sqlite3.Connection, lock: "Lock | None" = None) -> None:
        self._connection = connection
        self._lock = lock or Lock()
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

    def newest(self, kind: FetchKind, symbols: Iterable[str] | None = None) -> dict[str, Entry]:
        """Return the newest request of each symbol, whatever its outcome.

        Args:
            kind: kind of the requests.
            symbols: the symbols; None for all symbols of the ledger, sorted.
        """
        if symbols is None:
            rows = self._rows(_NEWEST_OF_ALL, {"kind": kind})[::-1]
        else:
            rows = self._rows(_NEWEST, {"kind": kind, "symbols": json.dumps(list(symbols))})
        return {row[0]: (_from_row(row), row[-1]) for row in self._since_purges(kind, rows)}

    def since(self, kind: FetchKind, since: Mapping[str, datetime]) -> dict[str, list[Fetch]]:
        """Return the requests for each symbol since its time, newest first; a symbol without one is left out."""
        found: dict[str, list[Fetch]] = {}
        wanted = json.dumps([(symbol, _timestamp(at)) for symbol, at in since.items()])
        for row in self._since_purges(kind, self._rows(_SINCE, {"kind": kind, "wanted": wanted})) if since else ():
            found.setdefault(row[0], []).append(_from_row(row))
        return found

    def latest(
        self,
        kind: FetchKind,
        symbols: Iterable[str] | None = None,
        newest: Mapping[str, Entry] | None = None,
    ) -> dict[str, list[Fetch]]:
        """Return the latest requests of each symbol, newest first, the last one being its newest good response.

        Landing files are included, and no landing file counts as the newest good response. A symbol without a good
        response has all its requests. After some landing files in a row, older files are left out: a symbol may have a
        file for each session of all years. Older requests are included: they say why a bar is missing.

        Args:
            kind: kind of the requests.
            symbols: the symbols; None for all symbols of the ledger.
            newest: what `newest` returned for them; by default it is read.
        """
        if newest is None:
            newest = self.newest(kind, symbols)
        found = {symbol: [fetch] for symbol, (fetch, _) in newest.items()}
        with self._lock, closing(self._connection.cursor()) as cursor:
            for symbol, fetches in found.items():
                if _is_good_response(fetches[0]):
                    continue
                fetches.clear()
                for fetch in _newest_first(cursor, {"kind": kind, "symbol": symbol}):
                    fetches.append(fetch)
                    if _is_good_response(fetch):
                        break
        return found

    def responses(self, symbol: str, wanted: Sequence[date]) -> Iterator[Fetch]:
        """Yield the good price responses of a symbol, newest first, that can contain one of the wanted sessions.

        Args:
            symbol: ticker.
            wanted: sessions, in order. The caller removes those that a response contains; the following responses
                overlap the remaining ones, and none follows when the list is empty.
        """
        found = self._next_responses({symbol: (wanted, *_AFTER_ALL)} if wanted else {})
        while found:
            yield found[symbol][0]
            found = self.older_responses(found, {symbol: wanted})

    def newest_responses(
        self, wanted: Mapping[str, Sequence[date]], newest: Mapping[str, Entry] | None = None
    ) -> dict[str, Entry]:
        """Return the first of the `responses` of each symbol; symbols without one are left out.

        Args:
            wanted: the sessions of each symbol, in order.
            newest: what `newest` returned for the prices of the symbols; by default it is read.
        """
        if newest is None:
            newest = self.newest(FetchKind.PRICES, (symbol for symbol, sessions in wanted.items() if sessions))
        found: dict[str, Entry] = {}
        others = {}
        for symbol, sessions in wanted.items():
            entry = newest.get(symbol)
            if entry is None or not _may_follow(entry[0], sessions):
                continue
            if _can_hold(entry[0], sessions[0], sessions[-1]):
                found[symbol] = entry
            else:
                others[symbol] = (sessions, *_AFTER_ALL)
        found.update(self._next_responses(others))
        return found

    def older_responses(self, entries: Mapping[str, Entry], wanted: Mapping[str, Sequence[date]]) -> dict[str, Entry]:
        """Return the next of the `responses` of each symbol after an entry; symbols without one are left out.

        Args:
            entries: a response of each symbol.
            wanted: the sessions of each of these symbols that are still wanted, in order.
        """
        return self._next_responses(
            {
                symbol: (wanted[symbol], _timestamp(fetch.fetched_at), row_id)
                for symbol, (fetch, row_id) in entries.items()
                if _may_follow(fetch, wanted[symbol])
            }
        )

    def _next_responses(self, wanted: Mapping[str, tuple[Sequence[date], str, int | str]]) -> dict[str, Entry]:
        """Return the next of the `responses` of each symbol before a time and an id."""
        if not wanted:
            return {}
        bounds = [(symbol, str(days[0]), str(days[-1]), *before) for symbol, (days, *before) in wanted.items()]
        rows = self._rows(_NEXT_RESPONSES, {"wanted": json.dumps(bounds)})
        return {row[0]: (_from_row(row), row[-1]) for row in rows}

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

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; all statements of the block take effect, or none, and no query of a thread runs."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _since_purges(self, kind: FetchKind, rows: Iterable[Any]) -> list[Any]:
        """Return the rows of requests that are newer than the last purge of their symbol."""
        purged = dict(self._rows(_PURGES, {})) if _counted(kind) else {}
        return [row for row in rows if row[2] > purged.get(row[0], "")] if purged else list(rows)

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


def _newest_first(cursor: sqlite3.Cursor, of_symbol: Mapping[str, str]) -> Iterator[Fetch]:
    """Yield the requests of a symbol; after some landing files in a row, without older files."""
    files = 0
    for row in cursor.execute(_OF_SYMBOL, of_symbol):
        fetch = _from_row(row)
        yield fetch
        files = files + 1 if fetch.is_landing_file else 0
        if files == _FILES_IN_A_ROW:
            older = {"before": row[2], "before_id": row[-1]}
            yield from map(_from_row, cursor.execute(_OLDER_REQUESTS, {**of_symbol, **older}))
            return


def _may_follow(newer: Fetch, wanted: Sequence[date]) -> bool:
    """Return whether a response that is not newer than a request can contain one of the wanted sessions.

    A response contains no session after the day of its request.
    """
    return bool(wanted) and newer.fetched_at.date() >= wanted[0]


def _can_hold(fetch: Fetch, first: date, last: date) -> bool:
    """Return whether a request has a good response whose sessions overlap a range."""
    return (
        fetch.outcome is Outcome.OK
        and fetch.first_session is not None
        and fetch.last_session is not None
        and fetch.first_session <= last
        and fetch.last_session >= first
    )


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
    symbol, kind, fetched_at, outcome, response_key, first, last, missing, content_hash, calls, detail, _ = row
    # With names, the constructor takes twice as long.
    return Fetch(
        symbol,
        _KINDS[kind],
        datetime.fromisoformat(fetched_at),
        _OUTCOMES[outcome],
        response_key,
        date.fromisoformat(first) if first else None,
        date.fromisoformat(last) if last else None,
        tuple(map(date.fromisoformat, json.loads(missing))) if missing != "[]" else (),
        content_hash,
        calls,
        detail,
    )
