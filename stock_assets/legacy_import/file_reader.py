"""Reads an old file into rows of text, each with its place in the file.

Belongs here: CSV, JSON and Parquet, plain or gzipped. Does not belong here: what a row is good for (`sorting`).

A file is known by its first bytes, since tables of Athena have files without endings. Values stay as they are written;
those of Parquet keep their types, and whoever reads the rows writes them as text.
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
from stock_assets.legacy_import.locations import FileFormat, LegacyFile

FIELDS = ("symbol", "day", "open", "high", "low", "close", "volume")
"""Columns of the rows; `day` is the text that should be a date."""
_DAYS = ("date", "timestamp", "trade_date")
_GZIP, _PARQUET, _JSON = b"\x1f\x8b", b"PAR1", b"{"
_BATCH = 50_000
_NUMBER_OR_DATE = re.compile(r"[-+.]?[0-9][-+.:0-9TZ ]*")

_Numbered = tuple[int, Mapping[str, str | None] | str]
"""Line, and its values by column; or what is wrong with it."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a file.

    Attributes:
        rows: `line` and the fields, of any type.
        broken: lines that are no rows, with the reason.
    """

    rows: pa.Table
    broken: tuple[tuple[int, str], ...] = ()


def read_rows(file: LegacyFile, stream: BinaryIO, file_format: FileFormat) -> Iterator[Batch]:
    """Read a file in parts.

    Raises:
        LegacyDataUnusable: a column is missing, or a file without a header line has another number of fields than named.
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
            f"the first line is no header with open and close in it, nor a row of {', '.join(names)}: "
            f"{', '.join(first)}; say what the columns are with --columns"
        )
    numbered = _csv_lines(reader, names, header if has_header or other_header else None)
    if not has_header and not other_header:
        numbered = chain([(1, dict(zip(names, first, strict=True)))], numbered)
    yield from _batches(file, numbered, names)


def _csv_lines(reader: "csv._reader", names: Sequence[str], header: Sequence[str] | None) -> Iterator[_Numbered]:  # type: ignore[name-defined]  # only the stubs have it
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            continue
        # Firehose joins what was delivered, each delivery with its own header line.
        if not fields or (header is not None and [field.strip().lower() for field in fields] == header):
            continue
        if len(fields) != len(names):
            yield reader.line_num, f"{len(fields)} fields, not {len(names)}"
            continue
        yield reader.line_num, dict(zip(names, fields, strict=True))


def _json_lines(text: io.TextIOWrapper) -> Iterator[_Numbered]:
    # Numbers stay as they are written.
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    for number, line in enumerate(text, start=1):
        rest = line.strip()
        # Firehose puts nothing between records unless it is told to.
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
                yield number, f"not a record: {str(record)[:40]!r}"


def _batches(file: LegacyFile, numbered: Iterator[_Numbered], names: Sequence[str] | None) -> Iterator[Batch]:
    while part := list(islice(numbered, _BATCH)):
        good = [(line, row) for line, row in part if not isinstance(row, str)]
        columns = _columns(file, names if names is not None else {name for _, row in good for name in row})
        values = {
            field: pa.array([row.get(name, file.values.get(name)) for _, row in good], pa.string())
            for field, name in columns.items()
        }
        yield Batch(
            pa.table({"line": pa.array([line for line, _ in good], pa.int64()), **values}),
            tuple((line, row) for line, row in part if isinstance(row, str)),
        )


def _columns(file: LegacyFile, names: Mapping[str, object] | Sequence[str] | set[str]) -> dict[str, str]:
    """Find the column of each field, in the file or in the names of its folders."""
    known = {*names, *file.values}
    day = next((name for name in _DAYS if name in known), None)
    lacking = [field for field in FIELDS if field != "day" and field not in known]
    if day is None or lacking:
        raise LegacyDataUnusable(
            f"columns are missing: {', '.join(lacking or _DAYS[:1])}; it has {', '.join(sorted(known))}"
        )
    return {field: day if field == "day" else field for field in FIELDS}
