"""Select the usable rows of an earlier pipeline, also from millions of rows.

Belongs here: collecting the rows of all files, distinguishing duplicates from contradictions, and the bars of a symbol.
Does not belong here: reading a file (`ingest.price_files`), what is stored already (`importer`), the numbers (the
audits).

The rows are in a temporary DuckDB file outside of the backend: so millions of rows need little memory, and every legacy
file is read once. The statements are in `sql/legacy_import`, in the same dialect as all others.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from stock_assets.core.calendar import NEW_YORK, session_table, sessions_between
from stock_assets.core.errors import PriceFileUnreadable
from stock_assets.core.progress_bar import hide_progress_bar
from stock_assets.core.queries import transpile
from stock_assets.core.sql import Name, SqlValue, statement
from stock_assets.core.text import escape_name
from stock_assets.core.universe import Universe
from stock_assets.ingest.price_files.columns import FIELDS
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.price_files.reader import read_problem, read_rows
from stock_assets.legacy_import.locations import LegacyFile, LegacyLocation

_OPENERS = 16
_SHOWN = 5


@dataclass(frozen=True)
class Example:
    """One row, or one line that is not a row.

    Attributes:
        place: file and line, or row of a Parquet file.
        text: its content, or the reason why it cannot be read.
    """

    place: str
    text: str


@dataclass(frozen=True)
class Problem:
    """Rows that are not imported for one reason.

    Attributes:
        reason: why; with the symbol if it is not in the universe.
        rows: number of rows.
        first: the first row.
        dates: the first and the last date, if the rows have dates.
    """

    reason: str
    rows: int
    first: Example
    dates: tuple[date, date] | None = None


@dataclass(frozen=True)
class Contradiction:
    """Two rows of one symbol and session with different values; the row written later is imported."""

    symbol: str
    session: date
    older: Example
    newer: Example


@dataclass(frozen=True)
class LegacyBar:
    """One bar as the earlier pipeline wrote it last.

    Attributes:
        session: trade date.
        line: the bar in the vendor's format.
        written_at: when it was written, aware, UTC.
    """

    session: date
    line: str
    written_at: datetime


@dataclass(frozen=True)
class Tally:
    """Counts over all files.

    Attributes:
        rows: rows read, usable or not.
        repeated: rows that a later row repeats.
        contradicted: rows that a later row contradicts.
        before_close: rows written before the market close that a later row replaces.
    """

    rows: int
    repeated: int
    contradicted: int
    before_close: int


@dataclass(frozen=True)
class ImportScope:
    """The symbols and sessions to import.

    Attributes:
        universe: symbols to import.
        first: first session that has a partition.
        last: last session that has a partition.
        at: now, aware, UTC.
        written_at: when all files were written, aware, UTC; None to use the time of each file.
    """

    universe: Universe
    first: date
    last: date
    at: datetime
    written_at: datetime | None = None

    def file_written_at(self, file: LegacyFile) -> datetime:
        """Return when a file counts as written; never a time in the future."""
        return min(self.written_at or file.written_at, self.at)


class SelectedRows:
    """The rows of all files; `select_rows` creates it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.files = 0
        self.unreadable: list[Example] = []
        self._malformed: list[Example] = []
        self._malformed_rows = 0

    def read_files(self, location: LegacyLocation, scope: ImportScope) -> None:
        """Read all files, and rank the rows of every bar by age."""
        execute = self._connection.execute
        columns = ", ".join(f"{field} VARCHAR" for field in FIELDS)
        execute(f"CREATE TABLE all_rows (file INTEGER, line BIGINT, trade_date DATE, {columns})")
        execute("CREATE TABLE files (file INTEGER, name VARCHAR, written_at TIMESTAMP, written_on DATE)")
        files = location.files()
        self.unreadable += [Example(escape_name(file.name), file.problem) for file in files if file.problem]
        readable = [file for file in files if not file.problem]
        for number, (file, opening) in enumerate(_open_ahead(location, readable)):
            written_at = scope.file_written_at(file)
            execute(
                "INSERT INTO files VALUES (?, ?, ?, ?)",
                [number, file.name, written_at.replace(tzinfo=None), written_at.astimezone(NEW_YORK).date()],
            )
            self._add(number, file, opening, location.file_format)
        self._select_rows(scope)

    def _add(self, number: int, file: LegacyFile, opening: Future[BinaryIO], file_format: FileFormat) -> None:
        """Read one file; no row of a damaged file is used."""
        chosen = ", ".join(("line", "trade_date", *FIELDS))
        malformed: list[Example] = []
        try:
            with opening.result() as stream:
                for batch in read_rows(stream, file_format, file.values):
                    self._connection.register("batch", batch.rows)
                    self._connection.execute(f"INSERT INTO all_rows SELECT {number}, {chosen} FROM batch")  # noqa: S608 (names from this module)
                    malformed += [Example(f"{file.name}, line {line}", why) for line, why in batch.malformed]
        except (PriceFileUnreadable, OSError) as error:
            self._connection.execute("DELETE FROM all_rows WHERE file = ?", [number])
            self.unreadable.append(Example(file.name, read_problem(error)))
            return
        self.files += 1
        self._malformed_rows += len(malformed)
        self._malformed = [*self._malformed, *malformed][:_SHOWN]

    def _select_rows(self, scope: ImportScope) -> None:
        symbols = pa.table({"symbol": pa.array(scope.universe.symbols, pa.string())})
        self._connection.register("known_symbols", symbols)
        self._connection.register("known_sessions", session_table(sessions_between(scope.first, scope.last)))
        self._create_table(
            "checked_rows",
            "legacy_import/rows.sql",
            {
                "legacy_rows": Name("all_rows"),
                "legacy_files": Name("files"),
                "known_symbols": Name("known_symbols"),
                "sessions": Name("known_sessions"),
                "first_date": scope.first,
                "last_date": scope.last,
                "imported_at": scope.at,
            },
        )
        self._create_table("ranked_rows", "legacy_import/ranked_rows.sql", {"legacy_rows": Name("checked_rows")})

    def _create_table(self, name: str, path: str, values: Mapping[str, SqlValue]) -> None:
        self._connection.execute(f"CREATE TABLE {name} AS {transpile(statement(path).bind(values))}")

    def tally(self) -> Tally:
        """Count the rows by how they are treated."""
        found = self._connection.execute(
            "SELECT (SELECT COUNT(*) FROM all_rows), COUNT(*) FILTER (copy_age > 1), "
            "COUNT(*) FILTER (age > 1 AND copy_age = 1 AND written_at >= closes_at), "
            "COUNT(*) FILTER (age > 1 AND copy_age = 1 AND written_at < closes_at) FROM ranked_rows"
        ).fetchall()[0]
        rows, repeated, contradicted, before_close = map(int, found)
        return Tally(rows + self._malformed_rows, repeated, contradicted, before_close)

    def problems(self) -> list[Problem]:
        """Return the reasons why rows are not imported."""
        found = self._select("legacy_import/problems.sql", {"legacy_rows": Name("checked_rows")})
        problems = [
            Problem(
                f"{row['problem']}: {row['symbol']}" if row["symbol"] is not None else row["problem"],
                row["row_count"],
                Example(f"{row['name']}, line {row['line']}", row["content"]),
                (row["first_date"], row["last_date"]) if row["first_date"] is not None else None,
            )
            for row in found
        ]
        malformed = [Problem("not a row", self._malformed_rows, self._malformed[0])] if self._malformed else []
        return malformed + problems

    def contradictions(self) -> list[Contradiction]:
        """Return the first contradictions."""
        rows = self._select("legacy_import/contradictions.sql", {"ranked_rows": Name("ranked_rows")}, limit=_SHOWN)
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
        """Return the symbols that have bars."""
        return [
            str(row[0])
            for row in self._connection.execute("SELECT DISTINCT symbol FROM ranked_rows ORDER BY 1").fetchall()
        ]

    def bars(self, symbol: str) -> list[LegacyBar]:
        """Return the bars of a symbol, newest first: for each session, the distinct rows of the file written last."""
        found = self._connection.execute(
            "SELECT trade_date, CONCAT_WS(',', CAST(trade_date AS VARCHAR), open_text, high_text, low_text, "
            "close_text, volume_text), written_at FROM ranked_rows WHERE symbol = ? AND age = 1 AND copy_age = 1 "
            "ORDER BY 1 DESC, line",
            [symbol],
        ).fetchall()
        return [LegacyBar(session, line, written_at.replace(tzinfo=UTC)) for session, line, written_at in found]

    def _select(self, path: str, values: Mapping[str, SqlValue], *, limit: int | None = None) -> list[dict[str, Any]]:
        select = transpile(statement(path).bind(values))
        if limit is not None:
            select = f"SELECT * FROM ({select}) LIMIT {limit}"  # noqa: S608 (the statement is from a file of this package)
        rows: list[dict[str, Any]] = self._connection.sql(select).to_arrow_table().to_pylist()
        return rows


def _open_ahead(location: LegacyLocation, files: Iterable[LegacyFile]) -> Iterator[tuple[LegacyFile, Future[BinaryIO]]]:
    """Open some files in advance: with thousands of small objects, most of the time is network latency."""
    ahead: deque[tuple[LegacyFile, Future[BinaryIO]]] = deque()
    with ThreadPoolExecutor(_OPENERS) as openers:
        for file in files:
            ahead.append((file, openers.submit(location.open_file, file)))
            if len(ahead) > _OPENERS:
                yield ahead.popleft()
        yield from ahead


@contextmanager
def select_rows(location: LegacyLocation, scope: ImportScope, *, memory_limit_mb: int) -> Iterator[SelectedRows]:
    """Read the files of a location and select their usable rows.

    Args:
        location: where the files are.
        scope: symbols and sessions to import.
        memory_limit_mb: memory in MB that DuckDB may use.

    Raises:
        LegacyDataUnusable: the location does not exist or is empty.
    """
    with (
        tempfile.TemporaryDirectory(prefix="legacy-import-") as folder,
        duckdb.connect(str(Path(folder) / "rows.duckdb")) as connection,
    ):
        connection.execute(f"SET memory_limit='{memory_limit_mb}MB'")
        connection.execute("SET TimeZone='UTC'")
        hide_progress_bar(connection)
        found = SelectedRows(connection)
        found.read_files(location, scope)
        yield found
