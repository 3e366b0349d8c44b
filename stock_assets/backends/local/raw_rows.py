"""The rows of a load's raw responses as one Parquet file, which every connection of the load reads.

Belongs here: comparing responses with the ledger, and turning their lines into columns. Does not belong here: the
format of a line (`sql/stage/raw_rows.sql`), which responses a load has (`stage.staging`).

The file is derived data: its name contains a digest of the responses and of its own content, and a file that does not
match its name is written again. So it is not synced to disk, and deleting it costs only time.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from stock_assets.backends.interface import Fetch, Objects
from stock_assets.backends.local.durable import make_folder
from stock_assets.backends.stored_responses import read_response
from stock_assets.core.calendar import CALENDAR_START
from stock_assets.core.checksums import content_hash, file_hash
from stock_assets.core.errors import DamagedResponses
from stock_assets.core.queries import transpile
from stock_assets.core.sql import Name, statement
from stock_assets.core.tables import RAW_COLUMNS

_BATCH_BYTES = 16 << 20
"""Bytes of responses that are in memory at a time."""
_SCHEMA = pa.schema([*((name, pa.string()) for name in RAW_COLUMNS), ("$path", pa.dictionary(pa.int32(), pa.string()))])
_TEXT = pa_csv.ConvertOptions(column_types=dict.fromkeys(RAW_COLUMNS, pa.string()), null_values=[])
_COLUMNS = pa_csv.ReadOptions(column_names=list(RAW_COLUMNS))
_LINES = pa_csv.ParseOptions(quote_char=False, escape_char=False, newlines_in_values=False, ignore_empty_lines=False)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_Body = tuple[str, bytes]
"""Address of a response, and its bytes."""


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
    known = "\n".join([f"{first} {last}", *(f"{fetch.response_key} {fetch.content_hash}" for fetch in ordered)])
    prefix = f"raw_rows_{content_hash(known.encode())[:16]}_"
    for file in folder.glob(f"{prefix}*.parquet"):
        if file.stem == prefix + file_hash(file):
            return file
    make_folder(folder)
    partial = folder / f"{prefix}{uuid4().hex}.partial"
    try:
        with pq.ParquetWriter(partial, _SCHEMA, compression="zstd", use_dictionary=["timestamp", "$path"]) as writer:
            for batch in _batches(objects, ordered):
                rows = _rows(connection, [(objects.uri(fetch.response_key), body) for fetch, body in batch])
                requested = min((fetch.last_day for fetch, _ in batch), default=last)
                writer.write_table(_without_other_days(rows, first, last, requested))
        return partial.rename(folder / f"{prefix}{file_hash(partial)}.parquet")
    finally:
        partial.unlink(missing_ok=True)


def _batches(objects: Objects, responses: Sequence[Fetch]) -> Iterator[list[tuple[Fetch, bytes]]]:
    """Yield the intact responses; raise at the end if any is damaged, so that the error names all of them."""
    damage: dict[str, str] = {}
    batch: list[tuple[Fetch, bytes]] = []
    size = 0
    for fetch in responses:
        try:
            body = read_response(objects, fetch)
        except DamagedResponses as error:
            damage |= error.damage
            continue
        batch.append((fetch, body))
        size += len(body)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if damage:
        raise DamagedResponses(damage)
    yield batch


def _rows(connection: duckdb.DuckDBPyConnection, bodies: Sequence[_Body]) -> pa.Table:
    """Return the rows of some responses, without the headers; what is no plain CSV is read by the shared SQL."""
    split = [(path, body.partition(b"\n")[2]) for path, body in bodies]
    plain = [(path, rows) for path, rows in split if _is_plain(rows)]
    try:
        tables = [_read_csv(plain)] if plain else []
    except pa.ArrowInvalid:
        # A line with too few fields and one with too many add up to the right number of commas.
        tables, plain = [], []
    read = {path for path, _ in plain}
    other = [(path, rows) for path, rows in split if path not in read]
    return pa.concat_tables([*tables, _split_lines(connection, other)] if other or not tables else tables)


def _is_plain(rows: bytes) -> bool:
    """Return whether pyarrow reads the lines as `sql/stage/raw_rows.sql` does, or rejects them.

    For pyarrow a carriage return ends a line. Inside a line it makes a row of fewer fields, which pyarrow rejects.
    """
    lines = rows.count(b"\n")
    return lines > 0 and rows.isascii() and rows.endswith(b"\n") and rows.count(b",") == lines * (len(RAW_COLUMNS) - 1)


def _read_csv(bodies: Sequence[_Body]) -> pa.Table:
    counts = [rows.count(b"\n") for _, rows in bodies]
    text = pa.BufferReader(b"".join(rows for _, rows in bodies))
    table = pa_csv.read_csv(text, read_options=_COLUMNS, parse_options=_LINES, convert_options=_TEXT)
    numbers = pa.array(np.repeat(np.arange(len(bodies), dtype=np.int32), counts))
    paths = pa.DictionaryArray.from_arrays(numbers, pa.array([path for path, _ in bodies]))
    return table.append_column("$path", paths)


def _without_other_days(rows: pa.Table, first: date, last: date, requested: date) -> pa.Table:
    """Leave out the rows of days outside a range; rows whose day an audit may report stay."""

    def is_needed(text: str) -> bool:
        try:
            day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError:
            day = None
        return day is None or first <= day <= last or not CALENDAR_START <= day <= requested

    days = rows["timestamp"].combine_chunks().dictionary_encode()
    needed = pa.array(map(is_needed, days.dictionary.to_pylist()), pa.bool_())
    return rows.filter(needed.take(days.indices))


def _split_lines(connection: duckdb.DuckDBPyConnection, bodies: Sequence[_Body]) -> pa.Table:
    """Split any text into lines; not as CSV, which would give quotes a meaning."""
    columns = {"content": [rows.decode() for _, rows in bodies], "path": [path for path, _ in bodies]}
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
