"""The Parquet files of staging tables, in the form that published tables have.

Belongs here: writing rows as one sorted file per year, with Iceberg's field ids, so that a publish only links the files
into the table. Does not belong here: which files a publish replaces (`replacement`), the SQL that computes the rows
(`connection`).
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_assets.backends.local.duckdb_errors import query_failed
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.read_ahead import ahead
from stock_assets.core.sql import literal
from stock_assets.core.tables import Table

_ROW_GROUP = 122_880
"""Rows per row group, at least: DuckDB's own number, which it reads with one thread."""
_COPIED_FORMAT = "FORMAT parquet, PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 4096"
"""Prices hardly repeat: DuckDB soon gives up their dictionaries instead of collecting a fifth of each row group."""
_SESSION = "trade_date"


class TableFiles(ABC):
    """The files of one table, to which the rows of one SELECT after another are added."""

    @property
    def newest(self) -> Path | None:
        """The file that has exactly the rows of the last SELECT; None if no file has."""
        return None

    def add(self, connection: duckdb.DuckDBPyConnection, select: str) -> int:
        """Add the rows of a SELECT in DuckDB's dialect; return their number.

        Raises:
            QueryFailed: the rows cannot be computed.
        """
        try:
            return self._add(connection, select)
        except (duckdb.Error, pa.ArrowException) as error:
            raise query_failed(error, select) from error

    @abstractmethod
    def _add(self, connection: duckdb.DuckDBPyConnection, select: str) -> int: ...


class CopiedFiles(TableFiles):
    """One file for each SELECT, with its rows in any order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = 0

    @property
    def newest(self) -> Path:
        """The file of the last SELECT."""
        return self._folder / f"{self._written:06d}.parquet"

    def _add(self, connection: duckdb.DuckDBPyConnection, select: str) -> int:
        self._written += 1
        copied = connection.execute(f"COPY ({select}) TO {literal(str(self.newest))} ({_COPIED_FORMAT})")
        return int(copied.fetchall()[0][0])


class SortedFiles(TableFiles):
    """`<year>.parquet`, one file per year, sorted by grain if each SELECT has later rows than the one before.

    The rows pass in batches. Without rows there is one empty file, which has the columns.
    """

    def __init__(self, folder: Path, table: Table, ids: Mapping[str, int]) -> None:
        self._folder = folder
        self._table = table
        self._ids = ids
        self._schema = pa.schema([])
        self._writers: dict[str, pq.ParquetWriter] = {}

    def _add(self, connection: duckdb.DuckDBPyConnection, select: str) -> int:
        reader = _sorted(connection, select, self._table)
        self._schema = pa.schema(
            field.with_metadata({"PARQUET:field_id": str(self._ids[field.name])}) if field.name in self._ids else field
            for field in reader.schema
        )
        count = 0
        for year, batches in ahead(_row_groups(reader)):
            rows = pa.Table.from_arrays(
                [pa.chunked_array(column) for column in zip(*batches, strict=True)], schema=self._schema
            )
            # Not as batches: the writer keeps these in memory until the row group is full.
            self._writer(year).write_table(rows, row_group_size=rows.num_rows)
            count += rows.num_rows
        return count

    def _writer(self, name: str) -> pq.ParquetWriter:
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(
                self._folder / f"{name}.parquet",
                self._schema,
                compression="zstd",
                # Prices hardly repeat: with dictionaries of numbers, files take longer to write and are larger.
                use_dictionary=[field.name for field in self._schema if not _is_number(field.type)],
            )
        return self._writers[name]

    def complete(self) -> None:
        """Write the ends of the files."""
        if not self._writers:
            self._writer("empty")
        self.close()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def field_ids(table: Table) -> dict[str, int]:
    """Return the ids that Iceberg gives to the columns of a new table; columns are only ever added at the end."""
    return {name: number for number, name in enumerate(table.column_names, start=1)}


def year_of(file: Path) -> int | None:
    """Return the year of a file's rows; None if the file is empty."""
    return int(file.stem) if file.stem.isdecimal() else None


@contextmanager
def sorted_files(folder: Path, table: Table, ids: Mapping[str, int]) -> Iterator[SortedFiles]:
    """Replace a folder by the sorted files of the rows that are added, after every file is on disk."""
    with _replaced(folder) as partial:
        files = SortedFiles(partial, table, ids)
        try:
            yield files
            files.complete()
        finally:
            files.close()


@contextmanager
def copied_files(folder: Path) -> Iterator[CopiedFiles]:
    """Replace a folder by files of the rows that are added, in any order, after every file is on disk."""
    with _replaced(folder) as partial:
        yield CopiedFiles(partial)


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Replace a folder by a new one after every file in it is on disk."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial.parent)
    partial.mkdir()
    yield partial
    for file in partial.iterdir():
        sync(file)
    sync(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync(folder.parent)


def _sorted(connection: duckdb.DuckDBPyConnection, select: str, table: Table) -> pa.RecordBatchReader:
    rows = connection.sql(select)
    order = [name for name in table.grain if name in rows.columns]
    if (_SESSION, "DATE") in zip(rows.columns, map(str, rows.types), strict=True):
        order.insert(0, f"YEAR({_SESSION})")
    return (rows.order(", ".join(order)) if order else rows).to_arrow_reader(_ROW_GROUP)


def _row_groups(reader: pa.RecordBatchReader) -> Iterator[tuple[str, list[list[pa.Array]]]]:
    """Yield the columns of some batches of one year, with the year; a year that is short enough once."""
    name, count = "", 0
    waiting: list[list[pa.Array]] = []
    for year, batch in _by_year(reader):
        if waiting and (year != name or count >= _ROW_GROUP):
            yield name, waiting
            waiting, count = [], 0
        name = year
        waiting.append(batch.columns)
        count += batch.num_rows
    if waiting:
        yield name, waiting


def _by_year(reader: pa.RecordBatchReader) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the rows with the year of their session; a batch never contains two years."""
    dated = _SESSION in reader.schema.names and pa.types.is_date(reader.schema.field(_SESSION).type)
    for batch in reader:
        if not batch.num_rows:
            continue
        if not dated:
            yield "all", batch
            continue
        years, start = pc.run_end_encode(pc.year(batch[_SESSION])), 0
        for year, end in zip(years.values.to_pylist(), years.run_ends.to_pylist(), strict=True):
            yield str(year), batch.slice(start, end - start)
            start = end
