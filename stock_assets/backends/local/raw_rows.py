"""The rows of a load's raw responses as one Parquet file, which every connection of the load reads.

Belongs here: comparing responses with the ledger, and turning their lines into columns. Does not belong here: the
format of a line (`sql/stage/raw_rows.sql`), which responses a load has (`stage.staging`).

The file is derived data: its name contains a digest of the responses and of its own content, and a file that does not
match its name is written again. So it is not synced to disk, and deleting it costs only time.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stock_assets.backends.interface import Fetch, Objects
from stock_assets.backends.local.durable import make_folder
from stock_assets.backends.local.read_ahead import ahead
from stock_assets.backends.stored_responses import read_response
from stock_assets.core.calendar import CALENDAR_START
from stock_assets.core.checksums import content_hash, file_hash
from stock_assets.core.errors import DamagedResponses
from stock_assets.core.queries import transpile
from stock_assets.core.sql import Name, statement

_BATCH_BYTES = 4 << 20
"""Bytes of responses that are written at a time, while the next ones are read."""
_NUMBERS = {
    "trade_date": pa.date32(),
    **dict.fromkeys(("open_price", "high_price", "low_price", "close_price"), pa.float64()),
    "volume": pa.int64(),
}
_TEXTS = ("unparsed_text", "date_text", "bar_text")
_SCHEMA = pa.schema(
    [*_NUMBERS.items(), *((name, pa.string()) for name in _TEXTS), ("$path", pa.dictionary(pa.int32(), pa.string()))]
)
_CONVERT = pa_csv.ConvertOptions(column_types=_NUMBERS, null_values=[])
_COLUMNS = pa_csv.ReadOptions(column_names=list(_NUMBERS))
_LINES = pa_csv.ParseOptions(quote_char=False, escape_char=False, newlines_in_values=False, ignore_empty_lines=False)
_EPOCH = date(1970, 1, 1)
_INT32 = 1 << 31
_PRICE = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_PLAIN_LINES = rf"\A(?:[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}},(?:{_PRICE},){{4}}[0-9]{{1,12}}\r?\n)+\z"
"""Lines that pyarrow reads as `sql/stage/raw_rows.sql` does; it rejects a day that does not exist."""


class _Body(NamedTuple):
    """The lines of a response after its header, with its address and the last day whose rows count."""

    path: str
    lines: bytes
    requested: date


class _Batch(NamedTuple):
    """The rows of plain responses, the other responses, and the first of the last days whose rows count."""

    tables: list[pa.Table]
    other: list[_Body]
    requested: date | None


def raw_rows_file(
    connection: duckdb.DuckDBPyConnection,
    objects: Objects,
    responses: Sequence[Fetch],
    folder: Path,
    *,
    first: date,
    last: date,
) -> Path:
    """Return the Parquet file of the responses; write it if the folder has no intact one.

    Args:
        connection: splits the lines that are no plain CSV; it needs the schema `raw`.
        objects: the stored responses.
        responses: their entries in the ledger.
        folder: the folder of the load.
        first: first day whose rows are needed; see `SqlConnection.register_responses`.
        last: last day whose rows are needed.

    Raises:
        DamagedResponses: a response is missing, or differs from its checksum in the ledger.
    """
    ordered = sorted(responses, key=lambda fetch: (fetch.symbol, fetch.response_key))
    known = "\n".join(
        [f"{first} {last} {_SCHEMA}", *(f"{fetch.response_key} {fetch.content_hash}" for fetch in ordered)]
    )
    prefix = f"raw_rows_{content_hash(known.encode())[:16]}_"
    for file in folder.glob(f"{prefix}*.parquet"):
        if file.stem == prefix + file_hash(file):
            return file
    make_folder(folder)
    partial = folder / f"{prefix}{uuid4().hex}.partial"
    try:
        with pq.ParquetWriter(
            partial,
            _SCHEMA,
            compression="lz4",
            use_dictionary=["trade_date", *_TEXTS, "$path"],
            use_byte_stream_split=[name for name in _NUMBERS if name != "trade_date"],
        ) as writer:
            # Three batches at a time: one is read and hashed, one becomes columns, one is written.
            for batch in ahead(map(_read, ahead(_bodies(objects, ordered)))):
                rows = _rows(connection, batch)
                writer.write_table(_without_other_days(rows, first, last, batch.requested or last))
        return partial.rename(folder / f"{prefix}{file_hash(partial)}.parquet")
    finally:
        partial.unlink(missing_ok=True)


def _bodies(objects: Objects, responses: Sequence[Fetch]) -> Iterator[list[_Body]]:
    """Yield batches of intact responses; raise at the end if any is damaged, so that the error names all of them."""
    damage: dict[str, str] = {}
    batch: list[_Body] = []
    size = 0
    for fetch in responses:
        try:
            body = read_response(objects, fetch)
        except DamagedResponses as error:
            damage |= error.damage
            continue
        lines = body.partition(b"\n")[2]
        batch.append(_Body(objects.uri(fetch.response_key), lines, fetch.last_day))
        size += len(lines)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if damage:
        raise DamagedResponses(damage)
    yield batch


def _read(bodies: Sequence[_Body]) -> _Batch:
    """Read the plain responses of a batch."""
    lines = b"".join(body.lines for body in bodies)
    is_plain = _are_plain(lines, [len(body.lines) for body in bodies])
    other = [body for body, found in zip(bodies, is_plain, strict=True) if not found]
    if other:
        plain = [body for body, found in zip(bodies, is_plain, strict=True) if found]
        tables, rejected = _read_plain(plain, b"".join(body.lines for body in plain))
    else:
        tables, rejected = _read_plain(bodies, lines)
    return _Batch(tables, other + rejected, min((body.requested for body in bodies), default=None))


def _rows(connection: duckdb.DuckDBPyConnection, batch: _Batch) -> pa.Table:
    """Return the rows of a batch; the shared SQL reads the responses that are not plain."""
    tables = [*batch.tables]
    if batch.other or not tables:
        tables.append(_split_lines(connection, batch.other))
    return pa.concat_tables(tables)


def _are_plain(lines: bytes, sizes: Sequence[int]) -> list[bool]:
    """Return for each response whether its lines are plain, given those of all responses and the bytes of each."""
    ends = np.cumsum([0, *sizes], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(lines)]
    texts = pa.Array.from_buffers(pa.large_binary(), len(sizes), buffers)
    found: list[bool] = pc.match_substring_regex(texts, _PLAIN_LINES).to_pylist()
    return found


def _read_plain(bodies: Sequence[_Body], lines: bytes) -> tuple[list[pa.Table], list[_Body]]:
    """Return the numbers of plain responses without any text, and the responses of which the text is needed.

    Args:
        bodies: the responses.
        lines: all their lines.
    """
    if not bodies:
        return [], []
    try:
        rows = pa_csv.read_csv(
            pa.BufferReader(lines),
            read_options=_COLUMNS,
            parse_options=_LINES,
            convert_options=_CONVERT,
        )
    except pa.ArrowInvalid:
        if len(bodies) == 1:
            return [], list(bodies)
        alone = [_read_plain([body], body.lines) for body in bodies]
        return [table for tables, _ in alone for table in tables], [body for _, found in alone for body in found]
    counts = [body.lines.count(b"\n") for body in bodies]
    numbers = np.repeat(np.arange(len(bodies), dtype=np.int32), counts)
    needs_text = _needs_text(bodies, numbers, rows["trade_date"].cast(pa.int32()).to_numpy())
    for name in _TEXTS:
        rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
    paths = pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array([body.path for body in bodies]))
    rows = rows.append_column("$path", paths)
    if needs_text.any():
        rows = rows.filter(pa.array(~needs_text[numbers]))
    return [rows], [body for body, needed in zip(bodies, needs_text, strict=True) if needed]


def _needs_text(
    bodies: Sequence[_Body], numbers: npt.NDArray[np.int32], days: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Return for each response whether an audit may show its text: a day is there twice, or cannot have a bar."""
    needs_text = np.zeros(len(bodies), dtype=np.bool_)
    ordered = np.sort((numbers.astype(np.int64) << 32) + days + _INT32)
    needs_text[ordered[1:][ordered[1:] == ordered[:-1]] >> 32] = True
    requested = np.array([_day_number(body.requested) for body in bodies])
    needs_text[numbers[(days > requested[numbers]) | (days < _day_number(CALENDAR_START))]] = True
    return needs_text


def _day_number(day: date) -> int:
    return (day - _EPOCH).days


def _without_other_days(rows: pa.Table, first: date, last: date, requested: date) -> pa.Table:
    """Leave out the rows of days outside a range; rows whose day an audit may report stay."""
    days = rows["trade_date"]
    inside = pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last))
    reported = pc.or_(pc.less(days, CALENDAR_START), pc.greater(days, requested))
    needed = pc.fill_null(pc.or_(inside, reported), fill_value=True)
    return rows if pc.all(needed).as_py() else rows.filter(needed)


def _split_lines(connection: duckdb.DuckDBPyConnection, bodies: Sequence[_Body]) -> pa.Table:
    """Split any text into lines; not as CSV, which would give quotes a meaning."""
    columns = {"content": [body.lines.decode() for body in bodies], "path": [body.path for body in bodies]}
    texts = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))
    connection.register("raw_texts", texts)
    connection.execute(
        "CREATE OR REPLACE VIEW raw.lines AS "
        'SELECT RTRIM(UNNEST(STRING_SPLIT(content, chr(10))), chr(13)) AS line, path AS "$path" FROM raw_texts'
    )
    rows: pa.Table = connection.sql(
        transpile(statement("stage/raw_rows.sql").bind({"lines": Name("raw.lines")}))
    ).to_arrow_table()
    return rows.cast(_SCHEMA)
