"""Parsing price responses: the exact rows or a typed error, and every CSV parser returns the same rows."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import EmptyResponse, MalformedResponse, SourceError
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.sources.raw_format import parse_prices
from stock_assets_tests.fakes.vendor_server import csv_body, walk
from stock_assets_tests.support.steps import local_backend

GOOD = csv_body("NVDA", date(2024, 3, 1), "compact")[: 47 * 12].rpartition(b"\r\n")[0] + b"\r\n"
"""The header and some rows, newest first."""
ROWS = GOOD.decode().split("\r\n")[1:-1]

# Bytes that parsers of CSV, dates and numbers are known to treat differently.
_PIECES = [b"\r", b"\n", b"\r\n", b",", b'"', b"'", b"\x00", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\x85", b"\xff"]
_PIECES += [b"\xe2\x80\xa8", b"\xef\xbb\xbf", b" ", b"\t", b"-", b"#", b"2024-02-30", b"{}", b"<", b"I,n,f,o,r,m,a\r\n"]
_PIECES += ["\u0661".encode(), b"1e5", b"NaN", ROWS[0].encode() + b"\r\n", b"2024-03-01", b",,,,,\r\n"]


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """Cut, insert, overwrite, repeat and remove parts of a good body."""
    body = GOOD
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted((draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))))
        piece = draw(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=4)))
        how = draw(st.sampled_from(["cut", "insert", "overwrite", "double", "remove", "newlines"]))
        body = {
            "cut": body[:at],
            "insert": body[:at] + piece + body[at:],
            "overwrite": body[:at] + piece + body[at + len(piece) :],
            "double": body[:to] + body[at:],
            "remove": body[:at] + body[to:],
            "newlines": body.replace(b"\r\n", b"\n", draw(st.integers(0, 9))),
        }[how]
    return body


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=damaged_bodies())
def test_a_damaged_body_yields_its_exact_rows_or_a_typed_error(body: bytes) -> None:
    try:
        sessions = parse_prices(body, "NVDA")
    except SourceError:
        return
    # The accepted rows are the lines between plain line ends: no line is skipped, no lines are joined.
    lines = body.decode().replace("\r\n", "\n").split("\n")
    assert lines[0] == ",".join(RAW_COLUMNS)
    assert lines[-1] == ""
    rows = [line.split(",") for line in lines[1:-1]]
    assert [date.fromisoformat(row[0]) for row in rows] == sessions
    assert {len(row) for row in rows} == {len(RAW_COLUMNS)}
    assert sessions == sorted(sessions, reverse=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(body=damaged_bodies())
@example(body=GOOD.replace(b"2024-02-28,", b'2024-02-28,"', 1))
@example(body=GOOD.replace(b",", b',"', 12).replace(b',"', b",", 6))
@example(body=GOOD.replace(b"2024-02-28,", b"2024-02-28,\x00", 1))
def test_the_sql_engine_reads_exactly_the_accepted_rows(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        sessions = parse_prices(body, "NVDA")
    except SourceError:
        return
    file = tmp_path_factory.getbasetemp() / "body.csv"
    file.write_bytes(body)
    backend = local_backend(file.parent / "backend")

    with backend.warehouse.connect() as sql:
        read = sql.query(f"SELECT * FROM {sql.register_responses([str(file)]).value}").to_pylist()

    wanted = [line.split(",") for line in body.decode().replace("\r\n", "\n").split("\n")[1:-1]]
    # The engine reads an empty field as NULL, and guarantees no order.
    seen = [[str(row[name] or "") for name in RAW_COLUMNS] for row in read]
    assert sorted(seen) == sorted(wanted)
    assert len(seen) == len(sessions)


@pytest.mark.parametrize(
    ("body", "failure", "message"),
    [
        (b"", EmptyResponse, "empty"),
        (b" \r\n", EmptyResponse, "empty"),
        (b"timestamp,open,high,low,close,volume\r\n", EmptyResponse, "no bars"),
        (b"timestamp,open,high,low,close,volume\r\nI,n,f,o,r,m,a\r\n", MalformedResponse, "line 2"),
        (b"timestamp,open,high,low,close\r\n2024-03-01,1,1,1,1\r\n", MalformedResponse, "header"),
        (b"timestamp,open,high,low,close,adjusted\r\n", MalformedResponse, "header"),
        (GOOD[:-2], MalformedResponse, "last line is incomplete"),
        (GOOD[:-9], MalformedResponse, "last line is incomplete"),
        (GOOD + b"\r\n", MalformedResponse, "fields"),
        (GOOD.replace(b"2024-02-2", b"20240-2-2", 1), MalformedResponse, "date"),
        (GOOD.replace(b"2024-03-01", b"2024-02-01", 1), MalformedResponse, "newest first"),
        (GOOD.replace(b"\r\n", b"\n", 3), MalformedResponse, "mixes different line endings"),
        (GOOD.replace(b",", b'","', 20), MalformedResponse, "header"),
        (GOOD.replace(b"2024-02-28,", b'2024-02-28,"', 1), MalformedResponse, "contains the character"),
        (GOOD.replace(b"2024-02-28,", b"2024-02-28,\x00", 1), MalformedResponse, "contains the character"),
        (GOOD.replace(b"2024-02-28,", b"2024-02-28,\x0c", 1), MalformedResponse, "contains the character"),
        (GOOD.replace(b"2024-02-28,", "2024-02-28,\u2028".encode(), 1), MalformedResponse, "contains the character"),
        (b"\xef\xbb\xbf" + GOOD, MalformedResponse, "header"),
        (GOOD.replace(b"2024-03-01", "2024-03-0\u0661".encode(), 1), MalformedResponse, "date"),
        (GOOD.replace(b"2024", b"\xff024", 1), MalformedResponse, "not UTF-8 text"),
    ],
)
def test_the_error_names_the_problem(body: bytes, failure: type[SourceError], message: str) -> None:
    with pytest.raises(failure, match=message):
        parse_prices(body, "NVDA")


def test_both_line_endings_are_accepted() -> None:
    sessions = parse_prices(GOOD, "NVDA")
    assert parse_prices(GOOD.replace(b"\r\n", b"\n"), "NVDA") == sessions
    assert sessions == sessions_between(date(2024, 1, 1), date(2024, 3, 1))[: -len(sessions) - 1 : -1]


def test_parsers_disagree_on_the_rejected_characters(tmp_path: Path) -> None:
    line = walk("NVDA")[0][1]
    file = tmp_path / "odd.csv"
    file.write_bytes(f"a,b,c,d,e,f\n2024-03-01,{line}\x0c2024-02-29,{line}\n".encode())
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    assert len(file.read_bytes().split(b"\n")) - 1 == 2
    with duckdb.connect() as connection, pytest.raises(duckdb.Error):
        connection.execute(f"SELECT * FROM read_csv('{file}', columns={{'a':'VARCHAR'}}, auto_detect=false)").fetchall()
