"""Parsing price responses: the exact rows or a typed error, and every CSV parser returns the same rows."""

import re
from datetime import date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stock_assets.core.calendar import is_session, sessions_between
from stock_assets.core.errors import EmptyResponse, MalformedResponse, SourceError
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.sources.raw_format import parse_prices
from stock_assets_tests.fakes.vendor_server import csv_body
from stock_assets_tests.support.bars import EVERY_DAY, rows_of, stored_response
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
        rows = parse_prices(body, "NVDA")
    except SourceError:
        return
    # The rows are the lines between plain line ends: no line is skipped, no lines are joined.
    lines = body.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    assert lines[0] == ",".join(RAW_COLUMNS)
    assert lines[-1] == ""
    found = {row.number: row.line for row in [*rows.bars, *(row for row, _ in rows.unusable)]}
    assert found == {number: line for number, line in enumerate(lines[1:-1], start=2) if line.strip(" ")}
    assert all(row.day is not None and is_session(row.day) and str(row.day) in row.line for row in rows.bars)
    assert not any(row.day is not None and is_session(row.day) for row, _ in rows.unusable)
    assert rows.sessions == sorted({row.day for row in rows.bars if row.day}, reverse=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(body=damaged_bodies())
@example(body=GOOD.replace(b"2024-02-28,", b'2024-02-28,"', 1))
@example(body=GOOD.replace(b",", b',"', 12).replace(b',"', b",", 6))
@example(body=GOOD.replace(b"2024-02-28,", b"2024-02-28,\x00", 1))
@example(body=GOOD.replace(b"2024-02-28,", b"2024-02-28,7,8\r\n2024-02-28,", 1))
@example(body=GOOD.replace(b"2024-02-28,", b"2024-02-28,1,2,3,4,5,6,7\r\n\r\n2024-02-28,", 1))
@example(body=GOOD.replace(b"2024-02-28,", b"2024-02-28;", 1).replace(b"2024-02-29,", b"2024-02-29,,", 1))
@example(body=b"\xef\xbb\xbf" + GOOD.replace(b"2024-02-28,", "2024-02-28,\u2028".encode(), 1))
def test_the_sql_engine_reads_the_same_rows(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        rows = parse_prices(body, "NVDA")
    except SourceError:
        return
    backend = local_backend(tmp_path_factory.getbasetemp() / "backend")
    key = "raw/body.csv"
    backend.objects.delete(key)
    backend.objects.put(key, body)

    with backend.warehouse.connect("load_1") as sql:
        responses = sql.register_responses([stored_response(backend, key)], **EVERY_DAY)
        read = sql.query(f"SELECT * FROM {responses.value}").to_pylist()

    lines = [row.line for row in (*rows.bars, *(row for row, _ in rows.unusable))]
    found = [{name: value for name, value in row.items() if name != "$path"} for row in read]
    # The engine guarantees no order.
    assert sorted(map(str, found)) == sorted(map(str, rows_of(lines, found)))


@pytest.mark.parametrize(
    ("body", "failure", "message"),
    [
        (b"", EmptyResponse, "empty"),
        (b" \r\n", EmptyResponse, "empty"),
        (b"timestamp,open,high,low,close,volume\r\n", EmptyResponse, "no bars"),
        (b"timestamp,open,high,low,close,volume\r\n\r\n", EmptyResponse, "no bars"),
        (b"timestamp,open,high,low,close,volume\r\nI,n,f,o,r,m,a\r\n", MalformedResponse, "line 2 'I,n,f,o,r,m,a'"),
        (
            b"timestamp,open,high,low,close,volume\r\n2024-03-02,1,2,1,2,5\r\n",
            MalformedResponse,
            "2024-03-02 is no trading session",
        ),
        (b"timestamp,open,high,low,close,volume\r\n2024-03-01,1,2\r\n", MalformedResponse, "has 3 fields, not 6"),
        (b"timestamp,open,high,low,close\r\n2024-03-01,1,1,1,1\r\n", MalformedResponse, "header"),
        (b"timestamp,open,high,low,close,adjusted\r\n", MalformedResponse, "header"),
        (GOOD[:-2], MalformedResponse, "last line is incomplete"),
        (GOOD[:-9], MalformedResponse, "last line is incomplete"),
        (GOOD.replace(b"\r\n", b"\r"), MalformedResponse, "header"),
        (
            GOOD.replace(b"\r\n2024-02-28,", b"\r2024-02-28,", 1),
            MalformedResponse,
            "line 3 has a carriage return inside",
        ),
        (GOOD.replace(b",", b'","', 20), MalformedResponse, "header"),
        (GOOD.replace(b"\r\n2024", b"\r\n'2024"), MalformedResponse, "9 rows belong to no session, the first: line 2"),
        (GOOD.replace(b"2024", b"\xff024", 1), MalformedResponse, "not UTF-8 text"),
    ],
)
def test_the_error_names_the_problem(body: bytes, failure: type[SourceError], message: str) -> None:
    with pytest.raises(failure, match=re.escape(message)):
        parse_prices(body, "NVDA")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("20240-2-28,1,2,1,2,5", "it begins with no date"),
        ("2024-02-30,1,2,1,2,5", "it begins with no date"),
        ('"2024-02-28",1,2,1,2,5', "it begins with no date"),
        ("2024-02-2\u0661,1,2,1,2,5", "it begins with no date"),
        ("timestamp,open,high,low,close,volume", "it begins with no date"),
        (",,,,,", "it begins with no date"),
        ("2024-02-25,1,2,1,2,5", "2024-02-25 is no trading session"),
        ("2024-02-19,1,2,1,2,5", "2024-02-19 is no trading session"),
    ],
)
def test_a_row_of_no_session_affects_only_itself(row: str, why: str) -> None:
    sessions = parse_prices(GOOD, "NVDA").sessions
    lines = [",".join(RAW_COLUMNS), row, *ROWS, row, ""]
    rows = parse_prices("\r\n".join(lines).encode(), "NVDA")
    assert rows.sessions == sessions
    assert [(unusable.number, reason) for unusable, reason in rows.unusable] == [(2, why), (len(ROWS) + 3, why)]
    assert rows.describe_unusable() == f"2 rows belong to no session, the first: line 2 {row!r}: {why}"


@pytest.mark.parametrize("row", ["2024-02-28", "2024-02-28,1,2", "2024-02-28,1,2,3,4,5,6,7", " 2024-02-28 ,x,\x00,,,"])
def test_a_row_of_a_session_belongs_to_it_whatever_its_other_fields_are(row: str) -> None:
    without = [line for line in ROWS if not line.startswith("2024-02-28")]
    rows = parse_prices("\n".join([",".join(RAW_COLUMNS), *without, row, ""]).encode(), "NVDA")
    assert rows.sessions == parse_prices(GOOD, "NVDA").sessions
    assert not rows.unusable


def test_rows_after_a_day_are_unusable() -> None:
    rows = parse_prices(GOOD, "NVDA")
    before = rows.until(date(2024, 2, 28), "NVDA")
    assert before.sessions == [day for day in rows.sessions if day <= date(2024, 2, 28)]
    assert [str(row.day) for row, _ in before.unusable] == ["2024-03-01", "2024-02-29"]
    assert before.describe_unusable() == (
        f"2 rows belong to no session, the first: line 2 {ROWS[0]!r}: its date is in the future"
    )
    assert rows.until(date(2024, 3, 1), "NVDA") == rows
    with pytest.raises(MalformedResponse, match="no row is usable: 9 rows belong to no session"):
        rows.until(date(2024, 1, 1), "NVDA")


@given(order=st.permutations(range(len(ROWS))), repeated=st.lists(st.integers(0, len(ROWS) - 1)))
def test_order_and_repetition_change_no_session(order: list[int], repeated: list[int]) -> None:
    lines = [ROWS[number] for number in [*order, *repeated]]
    rows = parse_prices("\r\n".join([",".join(RAW_COLUMNS), *lines, ""]).encode(), "NVDA")
    assert rows.sessions == parse_prices(GOOD, "NVDA").sessions
    assert [row.line for row in rows.bars] == lines


def test_both_line_endings_are_accepted() -> None:
    sessions = parse_prices(GOOD, "NVDA").sessions
    for body in (GOOD.replace(b"\r\n", b"\n"), GOOD.replace(b"\r\n", b"\n", 3), b"\xef\xbb\xbf" + GOOD, GOOD + b"\r\n"):
        assert parse_prices(body, "NVDA").sessions == sessions
    assert sessions == sessions_between(date(2024, 1, 1), date(2024, 3, 1))[: -len(sessions) - 1 : -1]
