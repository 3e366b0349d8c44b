"""The Parquet files of staging tables, in the form that published tables have.

Belongs here: writing rows as one sorted file per year, with Iceberg's field ids, so that a publish only links the files
into the table. Does not belong here: which files a publish replaces (`replacement`), the SQL that computes the rows
(`warehouse`).
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_assets.backends.local.duckdb_errors import query_failed
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.core.sql import literal
from stock_assets.core.tables import Table

_ROW_GROUP = 122_880
"""Rows per row group: DuckDB's own number, which it reads with one thread."""
_DICTIONARY_BYTES = 65_536
"""Prices hardly repeat: with pyarrow's 1 MB, writing takes twice the CPU time and the file is half as large again."""
_SESSION = "trade_date"


def field_ids(table: Table) -> dict[str, int]:
    """Return the ids that Iceberg gives to the columns of a new table; columns are only ever added at the end."""
    return {name: number for number, name in enumerate(table.column_names, start=1)}


def write_files(
    connection: duckdb.DuckDBPyConnection, select: str, table: Table, ids: Mapping[str, int], folder: Path
) -> int:
    """Write the rows of a SELECT to `<year>.parquet`, one file per year, sorted by grain; return their number.

    The rows pass in batches. Without rows there is one empty file, which has the columns.

    Raises:
        QueryFailed: the rows cannot be computed.
    """
    with _replaced(folder) as partial, _query_errors(select):
        return _write(_sorted(connection, select, table), ids, partial)


def copy_rows(connection: duckdb.DuckDBPyConnection, select: str, folder: Path) -> int:
    """Write the rows of a SELECT to one file, in any order; return their number.

    Raises:
        QueryFailed: the rows cannot be computed.
    """
    with _replaced(folder) as partial, _query_errors(select):
        copied = connection.execute(f"COPY ({select}) TO {literal(str(partial / 'all.parquet'))} (FORMAT parquet)")
        return int(copied.fetchall()[0][0])


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


@contextmanager
def _query_errors(select: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise query_failed(error, select) from error


def year_of(file: Path) -> int | None:
    """Return the year of a file's rows; None if the file is empty."""
    return int(file.stem) if file.stem.isdecimal() else None


def _sorted(connection: duckdb.DuckDBPyConnection, select: str, table: Table) -> pa.RecordBatchReader:
    rows = connection.sql(select)
    order = [name for name in table.grain if name in rows.columns]
    if (_SESSION, "DATE") in zip(rows.columns, map(str, rows.types), strict=True):
        order.insert(0, f"YEAR({_SESSION})")
    return (rows.order(", ".join(order)) if order else rows).to_arrow_reader(_ROW_GROUP)


def _write(reader: pa.RecordBatchReader, ids: Mapping[str, int], folder: Path) -> int:
    schema = pa.schema(
        field.with_metadata({"PARQUET:field_id": str(ids[field.name])}) if field.name in ids else field
        for field in reader.schema
    )
    count, year, writer = 0, "", None
    with ExitStack() as files:
        for name, batch in _by_year(reader):
            if name != year or writer is None:
                files.close()
                year, writer = name, files.enter_context(_writer(folder / f"{name}.parquet", schema))
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema), row_group_size=_ROW_GROUP)
            count += batch.num_rows
        if writer is None:
            files.enter_context(_writer(folder / "empty.parquet", schema))
    return count


def _writer(file: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(file, schema, compression="zstd", dictionary_pagesize_limit=_DICTIONARY_BYTES)


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
