"""Finds out which rows of an earlier pipeline are good for what, however many there are.

Belongs here: gathering rows of all files, telling duplicates from contradictions, and the bars of one symbol. Does not
belong here: reading a file (`rows`), what is stored already (`takeover`), the numbers (the audits).

The rows lie in a DuckDB file of their own, outside of the backend, and are gone afterwards: so millions of them need
little memory, and old data is read once. The statements are those under `sql/ingest`, in the dialect of all others.
"""

import csv
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from stock_assets.backends.local.warehouse import transpile
from stock_assets.core.calendar import NEW_YORK, session_table, sessions_between
from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.core.sql import Name, SqlValue, statement
from stock_assets.core.universe import Universe
from stock_assets.legacy_import.file_reader import FIELDS, read_rows
from stock_assets.legacy_import.locations import FileFormat, LegacyFile, LegacyLocation

DAMAGED = (LegacyDataUnusable, ValueError, OSError, EOFError, zlib.error, csv.Error)
"""What says that a file cannot be read, and nothing about the place it lies in."""
_MEMORY = "1GB"
_OPENERS = 16
_SHOWN = 5


@dataclass(frozen=True)
class Example:
    """One row, or what should be one.

    Attributes:
        place: file and line, or row of a Parquet file.
        text: what stands there, or what is wrong with it.
    """

    place: str
    text: str


@dataclass(frozen=True)
class Problem:
    """Rows that are not taken over.

    Attributes:
        reason: why; it names the symbol if that is it.
        rows: how many.
        first: the first of them.
        dates: the first and the last date, where they have one.
    """

    reason: str
    rows: int
    first: Example
    dates: tuple[date, date] | None = None


@dataclass(frozen=True)
class Contradiction:
    """Two rows of one symbol and session that say different things; the later written one counts."""

    symbol: str
    session: date
    older: Example
    newer: Example


@dataclass(frozen=True)
class LegacyBar:
    """One bar as the earlier pipeline wrote it last.

    Attributes:
        session: trade date.
        line: in the vendor's file_format.
        written_at: when, aware, UTC.
    """

    session: date
    line: str
    written_at: datetime


@dataclass(frozen=True)
class Tally:
    """Counts over all files.

    Attributes:
        rows: rows read, good or not.
        repeated: rows that a later one repeats.
        contradicted: rows that a later one contradicts.
        before_close: rows written before the bell that a later one replaces.
    """

    rows: int
    repeated: int
    contradicted: int
    before_close: int


@dataclass(frozen=True)
class ImportScope:
    """What old rows are sorted by.

    Attributes:
        universe: symbols that are wanted.
        first: first session that has a partition.
        last: last one.
        at: now, aware, UTC.
        written_at: when all files were written, if their own times say nothing; aware, UTC.
    """

    universe: Universe
    first: date
    last: date
    at: datetime
    written_at: datetime | None = None

    def moment(self, file: LegacyFile) -> datetime:
        """Give the time at which a file counts as written; never one to come."""
        return min(self.written_at or file.written_at, self.at)


class SelectedRows:
    """The rows of all files; `sorting` makes one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.files = 0
        self.unreadable: list[Example] = []
        self._broken: list[Example] = []
        self._broken_rows = 0

    def gather(self, place: LegacyLocation, scope: ImportScope) -> None:
        """Read all files, and number the versions of every bar."""
        execute = self._connection.execute
        columns = ", ".join(f"{field} VARCHAR" for field in FIELDS)
        execute(f"CREATE TABLE gathered (file INTEGER, line BIGINT, {columns})")
        execute("CREATE TABLE files (file INTEGER, name VARCHAR, written_at TIMESTAMP, written_on DATE)")
        for number, (file, opening) in enumerate(_opened_ahead(place)):
            moment = scope.moment(file)
            execute(
                "INSERT INTO files VALUES (?, ?, ?, ?)",
                [number, file.name, moment.replace(tzinfo=None), moment.astimezone(NEW_YORK).date()],
            )
            self._add(number, file, opening, place.file_format)
        self._sort(scope)

    def _add(self, number: int, file: LegacyFile, opening: Future[BinaryIO], file_format: FileFormat) -> None:
        """Read one file; of one that is damaged nothing is used."""
        chosen = ", ".join(f"CAST({field} AS VARCHAR)" for field in FIELDS)
        broken: list[Example] = []
        try:
            with opening.result() as stream:
                for batch in read_rows(file, stream, file_format):
                    self._connection.register("batch", batch.rows)
                    self._connection.execute(f"INSERT INTO gathered SELECT {number}, line, {chosen} FROM batch")  # noqa: S608 (names of this module)
                    broken += [Example(f"{file.name}, line {line}", why) for line, why in batch.malformed]
        except DAMAGED as error:
            self._connection.execute("DELETE FROM gathered WHERE file = ?", [number])
            self.unreadable.append(Example(file.name, str(error) or type(error).__name__))
            return
        self.files += 1
        self._broken_rows += len(broken)
        self._broken = [*self._broken, *broken][:_SHOWN]

    def _sort(self, scope: ImportScope) -> None:
        symbols = pa.table({"symbol": pa.array(scope.universe.symbols, pa.string())})
        self._connection.register("known_symbols", symbols)
        self._connection.register("known_sessions", session_table(sessions_between(scope.first, scope.last)))
        self._make(
            "judged",
            "legacy_import/rows.sql",
            {
                "old_rows": Name("gathered"),
                "old_files": Name("files"),
                "known_symbols": Name("known_symbols"),
                "sessions": Name("known_sessions"),
                "first_date": scope.first,
                "last_date": scope.last,
                "moment": scope.at,
            },
        )
        self._make("versions", "legacy_import/versions.sql", {"old_rows": Name("judged")})

    def _make(self, name: str, path: str, values: Mapping[str, SqlValue]) -> None:
        self._connection.execute(f"CREATE TABLE {name} AS {transpile(statement(path).bind(values))}")

    def tally(self) -> Tally:
        """Count what was found."""
        found = self._connection.execute(
            "SELECT (SELECT COUNT(*) FROM gathered), COUNT(*) FILTER (copy_age > 1), "
            "COUNT(*) FILTER (age > 1 AND copy_age = 1 AND written_at >= closes_at), "
            "COUNT(*) FILTER (age > 1 AND copy_age = 1 AND written_at < closes_at) FROM versions"
        ).fetchall()[0]
        rows, repeated, contradicted, before_close = map(int, found)
        return Tally(rows + self._broken_rows, repeated, contradicted, before_close)

    def problems(self) -> list[Problem]:
        """List why rows are not taken over."""
        found = self._select("legacy_import/problems.sql", {"old_rows": Name("judged")})
        problems = [
            Problem(
                f"{row['problem']}: {row['symbol']}" if row["symbol"] is not None else row["problem"],
                row["row_count"],
                Example(f"{row['name']}, line {row['line']}", row["content"]),
                (row["first_date"], row["last_date"]) if row["first_date"] is not None else None,
            )
            for row in found
        ]
        broken = [Problem("not a row", self._broken_rows, self._broken[0])] if self._broken else []
        return broken + problems

    def contradictions(self) -> list[Contradiction]:
        """Show the first contradictions."""
        rows = self._select("legacy_import/contradictions.sql", {"old_versions": Name("versions")}, limit=_SHOWN)
        return [
            Contradiction(
                row["symbol"],
                row["trade_date"],
                Example(f"{row['name']}, line {row['line']}", row["content"]),
                Example(f"{row['newer_name']}, line {row['newer_line']}", row["newer_content"]),
            )
            for row in rows
        ]

    def symbols(self) -> list[str]:
        """List the symbols that have bars."""
        return [
            str(row[0])
            for row in self._connection.execute("SELECT DISTINCT symbol FROM versions ORDER BY 1").fetchall()
        ]

    def bars(self, symbol: str) -> list[LegacyBar]:
        """Give the bars of a symbol, newest first, each as it was written last."""
        found = self._connection.execute(
            "SELECT trade_date, CONCAT_WS(',', CAST(trade_date AS VARCHAR), open_text, high_text, low_text, "
            "close_text, volume_text), written_at FROM versions WHERE symbol = ? AND age = 1 ORDER BY 1 DESC",
            [symbol],
        ).fetchall()
        return [LegacyBar(session, line, moment.replace(tzinfo=UTC)) for session, line, moment in found]

    def _select(self, path: str, values: Mapping[str, SqlValue], *, limit: int | None = None) -> list[dict[str, Any]]:
        select = transpile(statement(path).bind(values))
        if limit is not None:
            select = f"SELECT * FROM ({select}) LIMIT {limit}"  # noqa: S608 (from a file)
        rows: list[dict[str, Any]] = self._connection.sql(select).to_arrow_table().to_pylist()
        return rows


def _opened_ahead(place: LegacyLocation) -> Iterator[tuple[LegacyFile, Future[BinaryIO]]]:
    """Open some files before they are wanted: of thousands of small objects, most of the time is the way to them."""
    files = place.files()
    ahead: deque[tuple[LegacyFile, Future[BinaryIO]]] = deque()
    with ThreadPoolExecutor(_OPENERS) as openers:
        for file in files:
            ahead.append((file, openers.submit(place.open, file)))
            if len(ahead) > _OPENERS:
                yield ahead.popleft()
        yield from ahead


@contextmanager
def select_rows(place: LegacyLocation, scope: ImportScope) -> Iterator[SelectedRows]:
    """Read and sort what lies in a place.

    Raises:
        LegacyDataUnusable: there is no such place, or nothing in it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="takeover-") as folder,
        duckdb.connect(str(Path(folder) / "rows.duckdb")) as connection,
    ):
        connection.execute(f"SET memory_limit='{_MEMORY}'")
        connection.execute("SET TimeZone='UTC'")
        found = SelectedRows(connection)
        found.gather(place, scope)
        yield found
