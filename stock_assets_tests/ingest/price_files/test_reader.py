"""Every supported format gives the same rows; what cannot be read is named by its cause."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_assets.core.errors import PriceFileUnreadable
from stock_assets.ingest.price_files.columns import FIELDS
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.price_files.paths import path_values
from stock_assets.ingest.price_files.reader import read_rows
from stock_assets.ingest.price_files.values import trade_date

HEADER = "date,symbol,open,high,low,close,volume\n"
LINES = "2012-03-01,IBM,1,2,0.50,1.5,10\n2012-03-02,IBM,1,2,0.50,1.5,20\n"
CSV = HEADER + LINES
Row = dict[str, object]
EXPECTED: list[Row] = [
    dict(
        zip(
            ("trade_date", *FIELDS),
            (date(2012, 3, day), "IBM", f"2012-03-0{day}", "1", "2", "0.50", "1.5", volume),
            strict=True,
        )
    )
    for day, volume in ((1, "10"), (2, "20"))
]
OBJECTS = (
    '{"date": "2012-03-01", "symbol": "IBM", "open": 1, "high": 2, "low": 0.50, "close": 1.5, "volume": 10}',
    '{"Date": "2012-03-02", "Symbol": "IBM", "Open": "1", "High": 2, "Low": 0.50, "Close": 1.5, "Volume": 20.0}',
)
PRETTY = [json.dumps(json.loads(one, parse_float=str), indent=2) for one in OBJECTS]


def read(
    body: bytes, file_format: FileFormat | None = None, values: Mapping[str, str] | None = None
) -> tuple[list[Row], list[tuple[int, str]]]:
    """Return the rows of a file with these bytes, and its lines that are not rows."""
    batches = list(read_rows(io.BytesIO(body), file_format or FileFormat(), values or {}))
    return [row for batch in batches for row in batch.rows.to_pylist()], [
        line for batch in batches for line in batch.malformed
    ]


def without_lines(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "line"} for row in rows]


def zstd(body: bytes) -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(body, asbytes=True)
    return compressed


def gzipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def parquet(columns: Mapping[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(list(columns.values()), names=list(columns)), sink)
    return sink.getvalue()


PRICES = {
    "open": pa.array([1.0, 1.0], pa.float64()),
    "high": pa.array([2.0, 2.0], pa.float32()),
    "low": pa.array([Decimal("0.50")] * 2, pa.decimal128(18, 2)),
    "close": pa.array(["1.5", "1.5"]),
    "volume": pa.array([10, 20], pa.int64()),
}
DATES = pa.array([date(2012, 3, 1), date(2012, 3, 2)], pa.date32())
# Parquet has no text of a number: 1.0 is 1.
TABLE = parquet({"date": DATES, "symbol": pa.array(["IBM", "IBM"]), **PRICES, "extra": pa.array([[1], [2]])})

TEXTS = {
    "csv": CSV,
    "CRLF": CSV.replace("\n", "\r\n"),
    "CR": CSV.replace("\n", "\r"),
    "no final newline": CSV.rstrip("\n"),
    "BOM": "\ufeff" + CSV,
    "BOM and quotes": "\ufeff" + CSV.replace("date", '"date"'),
    "case and spaces": "Date, Symbol,Open,High,Low,Close,VOLUME\n" + LINES,
    "quotes": CSV.replace("IBM", '"IBM"').replace("2012-03-01", '"2012-03-01"'),
    "more columns": HEADER.replace("volume", "volume,dividend,dividend") + LINES.replace("\n", ",0,0\n"),
    "timestamp": HEADER.replace("date", "timestamp") + LINES,
    "trade_date": HEADER.replace("date", "trade_date") + LINES,
    "repeated header": CSV.replace("2012-03-02", "Date,symbol,open,high,low,close,volume\n2012-03-02"),
    "concatenated with BOM": HEADER + LINES.replace("2012-03-02", f"\ufeff{HEADER}2012-03-02"),
    "empty rows": "\n  \n" + CSV.replace("2012-03-02", ",,,,,,\n\n  ,,,,,,\n2012-03-02"),
    "no header": LINES,
    "semicolon": CSV.replace(",", ";"),
    "tab": CSV.replace(",", "\t"),
    "pipe": CSV.replace(",", "|"),
    "midnight": CSV.replace("-01,", "-01 00:00:00,").replace("-02,", "-02T00:00:00.000-05:00,"),
    "integers as decimals": CSV.replace(",10\n", ",10.0\n").replace(",20\n", ",20.00\n"),
    "integers with exponent": CSV.replace(",10\n", ",1.0E+01\n").replace(",20\n", ",2.0e1\n"),
    "json lines": "\n".join(OBJECTS) + "\n",
    "json lines, no final newline": "\n".join(OBJECTS),
    "json lines, CRLF and empty lines": "\r\n\r\n".join(OBJECTS),
    "concatenated json": "".join(OBJECTS),
    "json with commas": ",".join(OBJECTS),
    "pretty json": "\n".join(PRETTY),
    "json array": f"[{', '.join(OBJECTS)}]",
    "pretty array": f"[\n{','.join(PRETTY)}\n]\n",
    "concatenated arrays": f"[{OBJECTS[0]}][{OBJECTS[1]}]",
    "json, BOM": "\ufeff" + "\n".join(OBJECTS),
    "json with an empty object": "\n{}\n".join(OBJECTS),
}


def dates_as_days(rows: list[Row]) -> list[Row]:
    """Return rows whose text of the date is the date alone, since formats write it differently."""
    return [{**row, "day": str(row["trade_date"])} for row in without_lines(rows)]


@pytest.mark.parametrize("compressed", [bytes, gzipped, zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_every_text_format_gives_the_same_rows(text: str, compressed: Callable[[bytes], bytes]) -> None:
    rows, malformed = read(compressed(text.encode()))
    assert (dates_as_days(rows), malformed) == (EXPECTED, [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("text", [CSV, CSV.replace(",", "\t"), "\n".join(OBJECTS), f"[{','.join(OBJECTS)}]"])
def test_a_byte_order_mark_states_the_encoding(text: str, encoding: str) -> None:
    assert without_lines(read(text.encode(encoding))[0]) == EXPECTED


@pytest.mark.parametrize("compressed", [bytes, gzipped, zstd, lambda body: gzipped(gzipped(body))])
def test_parquet(compressed: Callable[[bytes], bytes]) -> None:
    rows, malformed = read(compressed(TABLE))
    assert (without_lines(rows), malformed) == (EXPECTED, [])


def test_gzip_with_several_members() -> None:
    first, second = CSV.splitlines(keepends=True)[:2], CSV.splitlines(keepends=True)[2:]
    body = gzipped("".join(first).encode()) + gzipped("".join(second).encode())
    assert without_lines(read(body)[0]) == EXPECTED
    body = zstd("".join(first).encode()) + zstd("".join(second).encode())
    assert without_lines(read(body)[0]) == EXPECTED


DAYS = [date(2012, 3, 1), date(2012, 7, 2)]
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    "day",
    [
        pa.array([str(day) for day in DAYS]),
        pa.array([f"{day} 00:00:00" for day in DAYS]).dictionary_encode(),
        pa.array(DAYS, pa.date32()),
        pa.array(DAYS, pa.date64()),
        *(
            pa.array([datetime.combine(day, datetime.min.time()) for day in DAYS], pa.timestamp(unit))
            for unit in ("s", "ns")
        ),
        pa.array([datetime.combine(day, datetime.min.time(), UTC) for day in DAYS], pa.timestamp("us", tz="UTC")),
        pa.array(
            [datetime.combine(day, datetime.min.time(), NEW_YORK) for day in DAYS], pa.timestamp("us", tz=str(NEW_YORK))
        ),
        # Midnight in New York, as Spark and awswrangler store it.
        pa.array([datetime.combine(day, datetime.min.time(), NEW_YORK) for day in DAYS], pa.timestamp("ms", tz="UTC")),
    ],
    ids=lambda day: str(day.type),
)
def test_dates_of_parquet(day: pa.Array) -> None:
    rows, _ = read(parquet({"DATE": day, "symbol": pa.array(["IBM", "IBM"]), **PRICES}))
    assert [row["trade_date"] for row in rows] == DAYS


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-01-02", date(2024, 1, 2)),
        ("2024-01-02 00:00:00-05:00", date(2024, 1, 2)),
        ("2024-07-02T00:00:00.000-0400", date(2024, 7, 2)),
        ("2024-01-02 00:00 +09", date(2024, 1, 2)),
        ("2024-01-02 00:00:00 UTC", date(2024, 1, 2)),
        ("2024-01-02 00:00:00.000 America/New_York", date(2024, 1, 2)),
        ("2024-01-02T05:00:00Z", date(2024, 1, 2)),
        ("2024-07-02T04:00:00+00:00", date(2024, 7, 2)),
        ("2024-07-02T05:00:00Z", None),
        ("2024-01-02 21:00:00", None),
        ("2024-01-02 05:00:00", None),
        ("2024-01-02 00:00:00.5", None),
        ("2024-01-02 16:00:00-05:00", None),
        ("2024-02-30", None),
        ("2024-01-02 24:00:00", None),
        ("20240102", None),
        ("01/02/2024", None),
        ("1704171600000", None),
        ("", None),
    ],
)
def test_a_date_is_a_date_or_midnight(text: str, day: date | None) -> None:
    assert trade_date(text) == day


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("61618922.00", "61618922"),
        ("6.1618922E7", "61618922"),
        ("6.16189220e+07", "61618922"),
        ("6.161892E+07", "6.161892E+07"),
        ("6.16189225E+07", "6.16189225E+07"),
        ("61618922.5", "61618922.5"),
        ("-5.0", "-5"),
        ("1,200", "1?200"),
        ('12"0', "12?0"),
        ("12\u00a00", "12?0"),
        ("12\x000", "12?0"),
        ("n/a", "n/a"),
    ],
)
def test_an_integer_is_written_plainly_if_its_digits_determine_it(written: str, text: str) -> None:
    quoted = written.replace('"', '""')
    [row], _ = read(f'{HEADER}2012-03-01,IBM,1,2,0.5,1.5,"{quoted}"\n'.encode())
    assert row["volume"] == text


def test_numbers_of_parquet_are_written_in_full() -> None:
    numbers = [12345678901.0, 1e-7, 1234.5678, float("nan"), None]
    columns = {name: pa.array(numbers, pa.float64()) for name in ("open", "high", "low", "close", "volume")}
    columns |= {"date": pa.array([date(2012, 3, 1)] * 5), "symbol": pa.array(["IBM"] * 5)}
    rows, _ = read(parquet(columns))
    assert [row["open"] for row in rows] == ["12345678901", "0.0000001", "1234.5678", "", ""]
    # A 32-bit number near 61,618,922 may be any of four integers.
    columns["volume"] = pa.array([61618922.0, 16777216.0, 1024.0, 0.0, None], pa.float32())
    rows, _ = read(parquet(columns))
    assert [row["volume"] for row in rows] == ["6.16189e+7", "1.67772e+7", "1024", "0", ""]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 2**53))
def test_numbers_keep_their_value(price: float, volume: int) -> None:
    columns = {**PRICES, "open": pa.array([price] * 2), "volume": pa.array([float(volume)] * 2), "date": DATES}
    row = read(parquet({**columns, "symbol": pa.array(["IBM", "IBM"])}))[0][0]
    assert "e" not in str(row["open"])
    assert (float(str(row["open"])), row["volume"]) == (price, str(volume))


def test_columns_in_the_names_of_folders() -> None:
    bare = CSV.replace("symbol,", "").replace("IBM,", "")
    assert without_lines(read(bare.encode(), values=path_values("symbol=IBM/x"))[0]) == EXPECTED
    assert without_lines(read(bare.encode(), values=path_values("IBM.csv"))[0]) == EXPECTED
    assert without_lines(read(bare.split("\n", 1)[1].encode(), values=path_values("IBM.csv"))[0]) == EXPECTED
    for path in ("year=2012/month=03/day=01/x", "2012/03/01/x", "date=2012-03-01/x", "trade_date=2012-03-01/x"):
        values = path_values(path)
        assert (
            read(parquet({"symbol": pa.array(["IBM"] * 2), **PRICES}), values=values)[0][0]["trade_date"]
            == DATES[0].as_py()
        )
        objects = "\n".join(OBJECTS).replace('"date": "2012-03-01", ', "").replace('"Date": "2012-03-02", ', "")
        assert [row["trade_date"] for row in read(objects.encode(), values=values)[0]] == [date(2012, 3, 1)] * 2


@pytest.mark.parametrize("body", [CSV.replace("date,", "timestamp,").encode(), "\n".join(OBJECTS).encode(), TABLE])
def test_a_column_of_the_file_has_priority_over_folders(body: bytes) -> None:
    for path in ("date=1999-01-01/symbol=X/x", "1999/01/01/x", "year=1999/month=1/day=1/OTHER.csv", "1999/01/01/22/x"):
        assert without_lines(read(body, values=path_values(path))[0]) == EXPECTED


def test_named_columns() -> None:
    order = ("symbol", "volume", "date", "open", "high", "low", "close")
    rows, _ = read(b"IBM|10|2012-03-01|1|2|0.50|1.5\n", FileFormat(order, "|", named=True))
    assert without_lines(rows) == EXPECTED[:1]
    other = "day,ticker,o,h,l,c,v\n"
    assert without_lines(read((other + LINES + other).encode(), FileFormat(named=True))[0]) == EXPECTED
    # A row without prices is not a header.
    assert len(read(b"2012-03-01,IBM,,,,,\n", FileFormat(named=True))[0]) == 1


def test_a_bad_row_affects_only_itself() -> None:
    first, second = LINES.splitlines(keepends=True)
    rows, malformed = read((HEADER + first + "2012-03-01,IBM,1\n" + '2012-03-01,"I"BM,1,1,1,1,1\n' + second).encode())
    assert [row["line"] for row in rows] == [2, 5]
    assert malformed == [(3, "3 fields instead of 7"), (4, malformed[1][1])]

    rows, malformed = read("\n".join([OBJECTS[0], '{"date": "2012', OBJECTS[1], "7", OBJECTS[0]]).encode())
    assert [row["line"] for row in rows] == [1, 3, 5]
    assert [line for line, _ in malformed] == [2, 4]
    assert "not a JSON object: 7" in malformed[1][1]

    rows, malformed = read(f"[\n{OBJECTS[0]},\n{{'bad'}},\n{OBJECTS[1]}\n]".encode())
    assert ([row["line"] for row in rows], [line for line, _ in malformed]) == ([2, 4], [3])
    lone_surrogate = OBJECTS[0].replace('"open": 1', '"open": "\\ud800"')
    assert [row["open"] for row in read((lone_surrogate + OBJECTS[1]).encode())[0]] == ["?", "1"]


def test_a_missing_value_of_an_object_is_empty() -> None:
    rows, _ = read((OBJECTS[0].replace(', "volume": 10', "") + OBJECTS[1].replace("20.0", "null")).encode())
    assert [row["volume"] for row in rows] == ["", ""]


def workbook() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    return sink.getvalue()


def renamed(**names: str) -> bytes:
    """Return the CSV with other names of columns, or more columns with an empty name for the old one."""
    header, lines = HEADER.strip(), LINES
    for old, new in names.items():
        header = header.replace(old, new)
        lines = lines.replace("\n", ",1" * new.count(",") + "\n")
    return f"{header}\n{lines}".encode()


TWICE = pa.table([DATES, pa.array(["IBM"] * 2), *PRICES.values(), DATES], names=["date", "symbol", *PRICES, "Date"])
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "differ in case": (renamed(volume="volume,Close"), "the columns Close and close differ only in case"),
    "twice": (renamed(volume="volume,close"), "the column close occurs 2 times"),
    "two dates": (renamed(volume="volume,timestamp"), "the columns date and timestamp may both be the trade date"),
    "adjusted": (
        renamed(volume="volume,Adj Close"),
        "adjusted and unadjusted values are next to each other: Adj Close",
    ),
    "adjusted_close": (renamed(volume="adjusted_close,volume"), "next to each other: adjusted_close"),
    "missing": (renamed(volume="shares"), "columns are missing: volume; the file has close, date"),
    "no date": (renamed(date="when", symbol="ticker"), "columns are missing: symbol, date"),
    "json twice": (OBJECTS[0].replace('"volume"', '"Close": 1, "volume"').encode(), "differ only in case"),
    "json two dates": ((OBJECTS[0] + OBJECTS[1].replace("Date", "timestamp")).encode(), "date and timestamp may both"),
    "json adjusted": (
        OBJECTS[0].replace('"volume"', '"adjClose": 1, "volume"').encode(),
        "next to each other: adjClose",
    ),
    "json missing": (OBJECTS[0].replace('"volume"', '"v"').encode(), "columns are missing: volume"),
    "vendor's message": (b'{"Information": "premium"}', "columns are missing: symbol, date, open"),
    "parquet twice": (
        parquet(dict(zip(TWICE.column_names, TWICE.columns, strict=True))),
        "the columns Date and date differ only in case",
    ),
    "parquet missing": (parquet({"open": pa.array([1.0])}), "columns are missing: symbol, date, high"),
    "parquet nested": (parquet({"date": DATES, "symbol": pa.array([["I"], ["B"]]), **PRICES}), "nested values"),
    "no header": (b"a,b\n1,2\n", "the first line is neither a header with open and close nor a row of date, symbol"),
    "other order": (b"IBM,2012-03-01,1,2,0.5,1.5,10\n", "the first line is neither a header"),
    "decimal comma": (
        CSV.replace(",", ";").replace(";1;2;0.50;1.5;", ";1,0;2,0;0,50;1,5;").encode(),
        "line 2 has decimal commas",
    ),
    "two delimiters": (b"open,close|open,close\n", "columns are missing|more than one delimiter"),
    "latin-1": (
        "# \u00e9\n".encode("latin-1") + CSV.encode(),
        "the text is not UTF-8: invalid continuation byte at byte 2",
    ),
    "utf-16 without mark": (CSV.encode("utf-16-le"), "NUL characters: it is UTF-16 without a byte order mark"),
    "truncated gzip": (gzipped(CSV.encode())[:-9], "the gzip data end early: the file is truncated"),
    "damaged gzip": (gzipped(CSV.encode())[:-8] + b"12345678", "the gzip data are damaged"),
    "truncated zstd": (zstd(CSV.encode())[:-5], "the data end early: the file is truncated"),
    "damaged zstd": (zstd(CSV.encode())[:4] + b"\xff" * 40, "the data are damaged"),
    "truncated parquet": (TABLE[:-9], "the Parquet file is truncated"),
    "truncated array": (f"[{OBJECTS[0]},".encode(), "the JSON array is not closed: the file is truncated"),
    "damaged array": (f"[{OBJECTS[0]},{OBJECTS[1][:-3]}".encode(), "line 1: the JSON array is damaged or truncated"),
    "deep json": (b"[" * 100_000, "the JSON array is damaged"),
    "workbook": (workbook(), "the file is a zip archive or an Excel workbook"),
    "zip in gzip": (gzipped(workbook()), "the file is a zip archive"),
    "html": (b"\n<!DOCTYPE html><html><body>404", "the file is an HTML page"),
    "xml": (b"<?xml version='1.0'?><Error/>", "the file is an XML document"),
    "bzip2": (b"BZh91AY&SY", "the file is compressed with bzip2"),
    "blank": (b"\n \n", "the file is empty"),
}


@pytest.mark.parametrize(("body", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_file_is_an_error_that_names_the_cause(body: bytes, message: str) -> None:
    with pytest.raises(PriceFileUnreadable, match=message):
        read(body)


def test_a_folder_of_an_hour_is_not_a_date() -> None:
    bare = CSV.replace("date,", "").replace("2012-03-01,", "").replace("2012-03-02,", "").encode()
    with pytest.raises(PriceFileUnreadable, match="is a time of arrival, not a trade date"):
        read(bare, values=path_values("2012/03/01/22/x"))


def test_no_row_is_lost_between_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stock_assets.ingest.price_files.reader._BATCH", 2)
    monkeypatch.setattr("stock_assets.ingest.price_files.json_rows._CHUNK", 200)
    lines = "".join(f"2012-03-{day:02d},IBM,1,2,0.5,1.5,10\n" for day in range(1, 8))
    assert [row["line"] for row in read((HEADER + lines).encode())[0]] == list(range(2, 9))
    columns = {"symbol": pa.array(["IBM"] * 2), "date": DATES, **PRICES}
    rows, _ = read(parquet({name: pa.concat_arrays([column] * 3) for name, column in columns.items()}))
    assert [row["line"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for text in ("\n".join(OBJECTS * 9), f"[\n{','.join(PRETTY * 9)}\n]", "".join(OBJECTS * 9)):
        rows, malformed = read(text.encode())
        assert (without_lines(rows), malformed) == (EXPECTED * 9, [])


@given(st.binary(max_size=300))
def test_no_bytes_raise_another_error(body: bytes) -> None:
    for prefix in (b"", HEADER.encode(), b"[", b'{"', b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):
        with suppress(PriceFileUnreadable):
            read(prefix + body)
