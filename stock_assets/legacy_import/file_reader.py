"""Read a legacy file into rows of text, each with its line number.

Belongs here: CSV, JSON and Parquet, plain or gzipped. Does not belong here: which rows are usable (`row_selection`).

The format is detected by the first bytes, since files of Athena tables have no suffix. Values stay as they are written;
Parquet values keep their types, and the caller converts them to text.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.core.text import plural
from stock_assets.legacy_import.locations import FileFormat, LegacyFile

FIELDS = ("symbol", "day", "open", "high", "low", "close", "volume")
"""Columns of the rows; `day` is the text that should contain a date."""
_DAYS = ("date", "timestamp", "trade_date")
_GZIP, _PARQUET, _JSON = b"\x1f\x8b", b"PAR1", b"{"
_BATCH = 50_000
_NUMBER_OR_DATE = re.compile(r"[-+.]?[0-9][-+.:0-9TZ ]*")

_Numbered = tuple[int, Mapping[str, str | None] | str]
"""A line number, and either the values by column or the reason why the line is not a row."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        rows: `line` and the fields, of any type.
        malformed: lines that are not rows, with the reason.
    """

    rows: pa.Table
    malformed: tuple[tuple[int, str], ...] = ()


def read_rows(file: LegacyFile, stream: BinaryIO, file_format: FileFormat) -> Iterator[Batch]:
    """Read a file in batches.

    Raises:
        LegacyDataUnusable: a column is missing, or a file without a header has another number of fields than columns.
        ValueError, OSError, EOFError: the bytes are damaged.
    """
    start = stream.read(len(_PARQUET))
    stream.seek(0)
    if start.startswith(_PARQUET):
        yield from _parquet(file, stream)
        return
    if start.startswith(_GZIP):
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=stream))
        start = stream.read(1)
        stream.seek(0)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        if start.startswith(_JSON):
            yield from _batches(file, _json_lines(text), None)
        else:
            yield from _csv(file, text, file_format)
    finally:
        text.detach()


def _parquet(file: LegacyFile, stream: BinaryIO) -> Iterator[Batch]:
    parquet = pq.ParquetFile(stream)
    stored = {name.lower(): name for name in parquet.schema_arrow.names}
    columns = _columns(file, stored)
    wanted = sorted({stored[name] for name in columns.values() if name in stored})
    line = 1
    for part in parquet.iter_batches(batch_size=_BATCH, columns=wanted):
        count = part.num_rows
        values = {
            field: part.column(stored[name]) if name in stored else pa.array([file.values[name]] * count, pa.string())
            for field, name in columns.items()
        }
        yield Batch(pa.table({"line": pa.array(range(line, line + count), pa.int64()), **values}))
        line += count


def _csv(file: LegacyFile, text: io.TextIOWrapper, file_format: FileFormat) -> Iterator[Batch]:
    reader = csv.reader(text, delimiter=file_format.delimiter, strict=True)
    first = next(reader, [])
    header = [name.strip().lower() for name in first]
    has_header = {"open", "close"} <= set(header)
    names = header if has_header else list(file_format.columns)
    other_header = not has_header and not any(_NUMBER_OR_DATE.fullmatch(text.strip()) for text in first)
    if len(first) != len(names) or (other_header and not file_format.named):
        raise LegacyDataUnusable(
            f"the first line is neither a header with open and close nor a row of {', '.join(names)}: "
            f"{', '.join(first)}; name the columns with --columns"
        )
    numbered = _csv_lines(reader, names, header if has_header or other_header else None)
    if not has_header and not other_header:
        numbered = chain([(1, dict(zip(names, first, strict=True)))], numbered)
    yield from _batches(file, numbered, names)


def _csv_lines(reader: "csv._reader", names: Sequence[str], header: Sequence[str] | None) -> Iterator[_Numbered]:  # type: ignore[name-defined]  # the type exists only in the stubs
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            continue
        # Firehose concatenates deliveries, and each delivery has its own header line.
        if not fields or (header is not None and [field.strip().lower() for field in fields] == header):
            continue
        if len(fields) != len(names):
            yield reader.line_num, f"{plural(len(fields), 'field')} instead of {len(names)}"
            continue
        yield reader.line_num, dict(zip(names, fields, strict=True))


def _json_lines(text: io.TextIOWrapper) -> Iterator[_Numbered]:
    # Numbers stay text, as they are written.
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    for number, line in enumerate(text, start=1):
        rest = line.strip()
        # Firehose writes no separator between records unless it is configured to.
        while rest:
            try:
                record, end = decoder.raw_decode(rest)
            except ValueError as error:
                yield number, str(error)
                break
            rest = rest[end:].lstrip()
            if isinstance(record, dict):
                yield number, {name.lower(): None if value is None else str(value) for name, value in record.items()}
            else:
                yield number, f"not a JSON object: {str(record)[:40]!r}"


def _batches(file: LegacyFile, numbered: Iterator[_Numbered], names: Sequence[str] | None) -> Iterator[Batch]:
    while part := list(islice(numbered, _BATCH)):
        rows = [(line, row) for line, row in part if not isinstance(row, str)]
        columns = _columns(file, names if names is not None else {name for _, row in rows for name in row})
        values = {
            field: pa.array([row.get(name, file.values.get(name)) for _, row in rows], pa.string())
            for field, name in columns.items()
        }
        yield Batch(
            pa.table({"line": pa.array([line for line, _ in rows], pa.int64()), **values}),
            tuple((line, row) for line, row in part if isinstance(row, str)),
        )


def _columns(file: LegacyFile, names: Mapping[str, object] | Sequence[str] | set[str]) -> dict[str, str]:
    """Return the column of each field, from the file or from the names of its folders."""
    known = {*names, *file.values}
    day = next((name for name in _DAYS if name in known), None)
    missing = [field for field in FIELDS if field != "day" and field not in known]
    if day is None or missing:
        raise LegacyDataUnusable(
            f"columns are missing: {', '.join(missing or _DAYS[:1])}; the file has {', '.join(sorted(known))}"
        )
    return {field: day if field == "day" else field for field in FIELDS}
