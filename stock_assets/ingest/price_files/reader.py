"""Read a price file of any format into rows of text.

Belongs here: choosing the format, and batches. Does not belong here: one format (`csv_rows`, `json_rows`).
"""

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stock_assets.ingest.price_files.columns import FIELDS, default_values, find_columns
from stock_assets.ingest.price_files.content import named_errors, opened, too_large
from stock_assets.ingest.price_files.csv_rows import FileFormat, Line, csv_lines
from stock_assets.ingest.price_files.json_rows import json_lines
from stock_assets.ingest.price_files.values import row_table

_BATCH = 50_000
_SMALLEST_ROW = 8
"""Bytes that each row counts at least."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        rows: `line`, `trade_date` and the fields as text (see `values.row_table`).
        malformed: lines that are not rows, with the reason.
    """

    rows: pa.Table
    malformed: tuple[tuple[int, str], ...] = ()


def read_rows(
    stream: BinaryIO, file_format: FileFormat, defaults: Mapping[str, str], *, largest: int | None = None
) -> Iterator[Batch]:
    """Read a file in batches, so that large files need little memory; empty rows are skipped.

    Args:
        stream: the bytes, with random access.
        file_format: the format of a CSV file without a header line.
        defaults: values of columns that the file does not have (see `paths.path_values`).
        largest: number of bytes that the file may have without its compression; None for a multiple of its size.

    Raises:
        PriceFileUnreadable: the bytes are damaged, or a column is missing or ambiguous; no row may be used.
    """
    with named_errors(), opened(stream, largest) as content:
        if content.parquet is not None:
            yield from _parquet_batches(content.parquet, defaults, content.limit)
        elif content.text is not None:
            lines = (
                json_lines(content.text, defaults)
                if content.is_json
                else csv_lines(content.text, file_format, defaults)
            )
            yield from _text_batches(lines)


def read_problem(error: Exception) -> str:
    """Return why a file could not be read.

    Raises:
        OSError: the reason is not the file: this process has no memory or no file descriptors left.
    """
    if not isinstance(error, OSError):
        return str(error)
    if error.errno in {errno.ENOMEM, errno.EMFILE, errno.ENFILE}:
        raise error
    return f"it cannot be read ({error.strerror or error}); check its permissions and the disk"


def _text_batches(lines: Iterator[Line]) -> Iterator[Batch]:
    while part := list(islice(lines, _BATCH)):
        rows = [(number, values) for number, values in part if not isinstance(values, str)]
        columns = zip(*(values for _, values in rows), strict=True) if rows else [()] * len(FIELDS)
        texts = {field: _strings(column) for field, column in zip(FIELDS, columns, strict=True)}
        yield Batch(
            row_table([number for number, _ in rows], texts),
            tuple((number, reason) for number, reason in part if isinstance(reason, str)),
        )


def _strings(column: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(column, pa.string())
    except UnicodeEncodeError:
        # JSON can escape half of a character.
        return pa.array([value and value.encode(errors="replace").decode() for value in column], pa.string())


def _parquet_batches(stream: BinaryIO, defaults: Mapping[str, str], limit: int) -> Iterator[Batch]:
    parquet = pq.ParquetFile(stream)
    groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    # Equal rows need no space in a Parquet file.
    if sum(group.total_byte_size for group in groups) > limit or parquet.metadata.num_rows > limit // _SMALLEST_ROW:
        raise too_large(limit)
    names = parquet.schema_arrow.names
    columns = find_columns(names, defaults)
    fallback = dict(zip(FIELDS, default_values(defaults), strict=True))
    first = 1
    for part in parquet.iter_batches(
        batch_size=_BATCH, columns=[names[at] for at in columns.values() if at is not None]
    ):
        count = part.num_rows
        values = {
            field: pa.array([fallback[field]] * count, pa.string()) if at is None else part.column(names[at])
            for field, at in columns.items()
        }
        rows = row_table(pa.array(range(first, first + count), pa.int64()), values)
        yield Batch(rows.filter(_any_value(rows, [field for field, at in columns.items() if at is not None])))
        first += count


def _any_value(rows: pa.Table, fields: Sequence[str]) -> pa.ChunkedArray:
    """Return which rows have a value in the columns of the file."""
    return pc.not_equal(pc.binary_join_element_wise(*(rows.column(field) for field in fields), ""), "")
