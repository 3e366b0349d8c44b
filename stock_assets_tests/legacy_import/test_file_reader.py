"""Every supported format gives the same rows with their line numbers; lines that are not rows are reported."""

import gzip
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.legacy_import.file_reader import FIELDS, read_rows
from stock_assets.legacy_import.locations import FileFormat, LegacyFile

HEADER = "date,symbol,open,high,low,close,volume\n"
LINES = "2012-03-01,IBM,1,2,0.50,1.5,10\n2012-03-02,IBM,1,2,0.50,1.5,20\n"
Row = dict[str, object]


def read(
    body: bytes, file_format: FileFormat | None = None, values: dict[str, str] | None = None
) -> tuple[list[Row], list[tuple[int, str]]]:
    """Return the rows of a file with these bytes, and its lines that are not rows."""
    file = LegacyFile("old", len(body), datetime(2012, 4, 1, tzinfo=UTC), values or {})
    batches = list(read_rows(file, io.BytesIO(body), file_format or FileFormat()))
    return [row for batch in batches for row in batch.rows.to_pylist()], [
        line for batch in batches for line in batch.malformed
    ]


def row(line: int, day: object, *values: object) -> Row:
    return dict(zip(("line", "day", *FIELDS[:1], *FIELDS[2:]), (line, day, "IBM", *values), strict=True))


EXPECTED = [row(2, "2012-03-01", "1", "2", "0.50", "1.5", "10"), row(3, "2012-03-02", "1", "2", "0.50", "1.5", "20")]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + LINES,
        (HEADER + LINES).replace("\n", "\r\n"),
        (HEADER + LINES).rstrip("\n"),
        "\ufeffDate, Symbol,Open,High,Low,Close,VOLUME\n" + LINES,
        HEADER + LINES.replace("IBM", '"IBM"'),
        HEADER.replace("volume", "volume,dividend") + LINES.replace("\n", ",0\n"),
        HEADER.replace("date", "timestamp") + LINES,
    ],
)
def test_csv(text: str) -> None:
    assert read(text.encode()) == (EXPECTED, [])


def test_gzip_without_a_suffix() -> None:
    assert read(gzip.compress((HEADER + LINES).encode(), mtime=0)) == (EXPECTED, [])


def test_csv_without_a_header() -> None:
    rows, malformed = read(LINES.encode())
    assert (rows, malformed) == ([{**one, "line": number} for number, one in enumerate(EXPECTED, 1)], [])


def test_csv_with_named_columns_and_another_delimiter() -> None:
    file_format = FileFormat(("symbol", "volume", "date", "open", "high", "low", "close"), "|")
    rows, _ = read(b"IBM|10|2012-03-01|1|2|0.50|1.5\n", file_format)
    assert rows == [{**EXPECTED[0], "line": 1}]


def test_a_header_with_other_names_is_skipped_if_columns_are_named() -> None:
    odd = "day,ticker,o,h,l,c,v\n"
    assert read((odd + LINES + odd).encode(), FileFormat(named=True)) == (EXPECTED, [])
    # A row without prices is not a header.
    assert len(read(b"2012-03-01,IBM,,,,,\n", FileFormat(named=True))[0]) == 1


def test_a_repeated_header_starts_another_delivery_and_is_skipped() -> None:
    first, second = LINES.splitlines(keepends=True)
    rows, malformed = read((HEADER + first + HEADER + second).encode())
    assert ([one["line"] for one in rows], malformed) == ([2, 4], [])


def test_lines_that_are_not_rows_are_reported_and_the_others_read() -> None:
    first, second = LINES.splitlines(keepends=True)
    rows, malformed = read((HEADER + first + "2012-03-01,IBM,1\n" + '2012-03-01,"I"BM,1,1,1,1,1\n' + second).encode())
    assert [one["line"] for one in rows] == [2, 5]
    assert malformed[0] == (3, "3 fields instead of 7")
    assert malformed[1][0] == 4


JSON = (
    '{"date": "2012-03-01", "symbol": "IBM", "open": 1, "high": 2, "low": 0.50, "close": 1.5, "volume": 10}',
    '{"Date": "2012-03-02", "Symbol": "IBM", "Open": "1", "High": 2, "Low": 0.50, "Close": 1.5, "Volume": 20}',
)


def test_json_with_and_without_line_ends() -> None:
    for text in ("\n".join(JSON), "".join(JSON)):
        rows, malformed = read(text.encode())
        assert ([{**one, "line": 0} for one in rows], malformed) == ([{**one, "line": 0} for one in EXPECTED], [])


def test_incomplete_json() -> None:
    rows, malformed = read((JSON[0] + "\n" + JSON[1][:-3] + "\n" + "[1]\n").encode())
    assert [one["line"] for one in rows] == [1]
    assert [line for line, _ in malformed] == [2, 3]
    assert "not a JSON object" in malformed[1][1]


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


PRICES = {
    "open": pa.array([1.0], pa.float64()),
    "high": pa.array([2.0], pa.float32()),
    "low": pa.array([Decimal("0.50")], pa.decimal128(18, 2)),
    "close": pa.array(["1.5"]),
    "volume": pa.array([10], pa.int64()),
}


@pytest.mark.parametrize(
    "day",
    [
        pa.array(["2012-03-01"]),
        pa.array([date(2012, 3, 1)], pa.date32()),
        pa.array([datetime(2012, 3, 1)], pa.timestamp("ns")),  # noqa: DTZ001 (the files contain such values)
        pa.array([datetime(2012, 3, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC")),
        pa.array(["2012-03-01"]).dictionary_encode(),
    ],
    ids=lambda day: str(day.type),
)
def test_parquet_keeps_its_types(day: pa.Array) -> None:
    rows, malformed = read(parquet(DATE=day, symbol=pa.array(["IBM"]), extra=pa.array([[1]]), **PRICES))
    assert (rows, malformed) == ([row(1, day[0].as_py(), 1.0, 2.0, Decimal("0.50"), "1.5", 10)], [])


def test_columns_in_the_names_of_folders() -> None:
    expected = row(1, "2012-03-01", 1.0, 2.0, Decimal("0.50"), "1.5", 10)
    assert read(parquet(**PRICES), values={"symbol": "IBM", "date": "2012-03-01"})[0] == [expected]
    rows, _ = read((HEADER.replace("symbol,", "") + LINES.replace("IBM,", "")).encode(), values={"symbol": "IBM"})
    assert rows == EXPECTED


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (
            b"a,b\n1,2\n",
            LegacyDataUnusable,
            "the first line is neither a header .*: a, b; name the columns with --columns",
        ),
        (
            HEADER.replace("open", "o").encode() + LINES.encode(),
            LegacyDataUnusable,
            "the first line is neither a header",
        ),
        (
            HEADER.replace("volume", "shares").encode() + LINES.encode(),
            LegacyDataUnusable,
            "columns are missing: volume",
        ),
        (b"\xff\xfe" + LINES.encode(), ValueError, "decode"),
        (b"PAR1 and nothing of it", ValueError, "Parquet"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], EOFError, "end-of-stream"),
        (parquet(open=pa.array([1.0])), LegacyDataUnusable, "columns are missing: symbol, high, low, close, volume"),
    ],
)
def test_an_unreadable_file_is_an_error(body: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read(body)


def test_no_row_is_lost_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stock_assets.legacy_import.file_reader._BATCH", 2)
    lines = "".join(f"2012-03-{day:02d},IBM,1,2,0.5,1.5,10\n" for day in range(1, 8))
    assert [one["line"] for one in read((HEADER + lines).encode())[0]] == list(range(2, 9))
    many: Callable[[pa.Array], pa.Array] = lambda column: pa.concat_arrays([column] * 5)  # noqa: E731 (once)
    columns = {"symbol": pa.array(["IBM"]), "date": pa.array(["2012-03-01"]), **PRICES}
    rows, _ = read(parquet(**{name: many(column) for name, column in columns.items()}))
    assert [one["line"] for one in rows] == [1, 2, 3, 4, 5]
