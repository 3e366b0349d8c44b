"""The statements under `sql/` are complete and portable between engines; values keep their meaning as SQL text."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import duckdb
import pytest
import sqlglot
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import exp

from stock_assets.core.errors import SqlTemplateError
from stock_assets.core.queries import query_text, transpile
from stock_assets.core.sql import (
    Fragment,
    Name,
    SqlValue,
    Statement,
    bundled,
    literal,
    statement,
    statements,
)

ROOT = Path(str(bundled("sql")))
ALL_FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.sql"))
# Only the backends on S3 and Glue change tables with SQL, which their own tests cover.
FILES = [path for path in ALL_FILES if not path.startswith("ddl/") and path != "publish/merge.sql"]
ATHENA_STATEMENT_BYTES = 262_144

TEXTS = {"load_id", "audit", "prefix", "acknowledged"}
SELECTS = {
    "bars_to_commit_select",
    "row_numbers",
    "session_failures",
    "findings",
    "bad_rows",
    "row_failures",
}
CONDITIONS = {"dates", "symbols"}
DATES = {"since", "today"}
NUMBERS: dict[str, SqlValue] = {
    "lookback_days": 21,
    "sample_rows": 10,
    "min_coverage": 0.5,
    "max_quarantined_share": 0.25,
    "max_jump": 0.4,
}


def any_value(name: str) -> SqlValue:
    """Return a value for a parameter, chosen by its name; an unknown name is a relation."""
    if name in NUMBERS:
        return NUMBERS[name]
    if name in TEXTS:
        return "it's a text"
    if name in SELECTS:
        return Fragment(
            "SELECT 'a' AS audit, 'b' AS symbol, DATE '2012-03-01' AS trade_date, 'c' AS detail, 1 AS number"
        )
    if name in CONDITIONS:
        return Fragment("1 = 1")
    return date(2012, 3, 1) if name.endswith("_date") or name in DATES else Name(f"input.{name}")


def bound(file: Statement) -> str:
    return file.bind({name: any_value(name) for name in file.parameters})


def test_a_query_is_sent_without_comments_and_semicolons_around_it() -> None:
    """Trino accepts no semicolon; a semicolon inside a string stays."""
    assert query_text("/* a */ ; SELECT ';' AS \"b\" -- c\n FROM d ; -- e") == "SELECT ';' AS \"b\" -- c\n FROM d"


def test_all_folders_of_statements_are_found() -> None:
    assert len(FILES) > 25
    assert {file.partition("/")[0] for file in FILES} >= {"audit", "publish", "serve", "stage"}


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_one_described_statement_for_both_engines(path: str) -> None:
    file = statement(path)
    assert (file.path, file.name) == (path, Path(path).stem)
    assert file.description.endswith((".", "?")), "the opening comment is a sentence"
    athena = bound(file)
    assert len(athena.encode()) < ATHENA_STATEMENT_BYTES / 10, "several files are combined in one statement"
    assert "${" not in athena
    parsed = sqlglot.parse(athena, read="athena")
    assert len(parsed) == 1
    assert isinstance(parsed[0], exp.Query)
    assert [str(one.type) for one in duckdb.extract_statements(transpile(athena))] == ["StatementType.SELECT"]


@pytest.mark.parametrize("path", [path for path in FILES if Path(path).parent.parent.name == "audit"])
def test_every_audit_has_a_remedy_that_is_not_part_of_its_description(path: str) -> None:
    file = statement(path)
    assert file.remedy.endswith(".")
    assert "remedy" not in file.description + file.remedy


FORBIDDEN_FUNCTIONS = {
    "extract",
    "format_datetime",
    "from_unixtime",
    "nan",
    "infinity",
    "xxhash64",
}


def not_portable(sql: str) -> list[str]:
    """Return the parts that Trino and DuckDB compute differently, or that Athena rejects."""
    tree = sqlglot.parse(sql, read="athena")[0]
    assert isinstance(tree, exp.Query)
    found = [*odd_words(sql), *odd_divisions(tree), *odd_casts(tree), *odd_texts(tree), *odd_functions(tree)]
    return [*found, *odd_texts_of_numbers(tree)]


def odd_functions(tree: exp.Query) -> Iterator[str]:
    """Find functions whose result differs by engine: last bits, the spaces of TRIM, the value of a missing part."""
    for trim in tree.find_all(exp.Trim):
        if trim.expression is None:
            yield f"{trim.sql('athena')}: the characters to trim are not named"
    for call in tree.find_all(exp.Ln, exp.Log, exp.Exp, exp.Pow):
        if not isinstance(call.parent, exp.Round):
            yield call.sql("athena")
    for call in tree.find_all(exp.SplitPart, exp.RegexpExtract):
        if not isinstance(call.parent, exp.Coalesce) or [text.sql() for text in call.parent.expressions] != ["''"]:
            yield f"{call.sql('athena')}: not inside COALESCE(..., '')"


def odd_words(sql: str) -> Iterator[str]:
    tokens = sqlglot.tokenize(sql, read="athena")
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind, text = token.token_type, token.text.lower()
        if text in FORBIDDEN_FUNCTIONS and kind is not sqlglot.TokenType.STRING and following and following.text == "(":
            yield f"{text}()"
        if kind is sqlglot.TokenType.NUMBER and "." in text and "e" not in text:
            yield f"{text}: a decimal, not a double"
        # A date minus an interval is a timestamp in DuckDB; Trino has no `::`; Athena runs one statement per call.
        if kind in (sqlglot.TokenType.INTERVAL, sqlglot.TokenType.DCOLON, sqlglot.TokenType.SEMICOLON):
            yield token.text
    if "/*" in sql:
        yield "a block comment"


def odd_divisions(tree: exp.Query) -> Iterator[str]:
    for division in tree.find_all(exp.Div):
        sides = division.this.unnest(), division.expression.unnest()
        if any(isinstance(side, exp.Count) or side.is_int or side.name == "volume" for side in sides):
            yield f"{division.sql()}: a division of whole numbers"


def odd_casts(tree: exp.Query) -> Iterator[str]:
    for cast in tree.find_all(exp.TryCast):
        case = cast.find_ancestor(exp.Case)
        if case is None or not any(branch.this.find(exp.RegexpLike) for branch in case.args["ifs"]):
            yield f"{cast.sql()}: of text that was not matched before"


WHOLE_OR_TEXT = {"volume", "snapshot_id", "detail", "audit"}


def odd_texts_of_numbers(tree: exp.Query) -> Iterator[str]:
    """Find casts to text whose format differs by engine: doubles (1.0E10) and timestamps (with microseconds)."""
    for cast in tree.find_all(exp.Cast):
        value = cast.this.unnest()
        plain = isinstance(value, exp.Null | exp.Count | exp.Case | exp.DPipe) or value.is_string
        of_decimals = isinstance(value, exp.Cast) and value.to.is_type("decimal")
        if cast.to.is_type("varchar") and not plain and not of_decimals and value.name not in WHOLE_OR_TEXT:
            yield f"{cast.sql()}: the format differs by engine"


def odd_texts(tree: exp.Query) -> Iterator[str]:
    for column in tree.selects:
        value = column.unalias()
        if isinstance(value, exp.Case) and any(branch.args["true"].is_string for branch in value.args["ifs"]):
            yield f"{column.alias_or_name}: a text of a CASE, not cast to VARCHAR"


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_portable(path: str) -> None:
    file = statement(path)
    assert not_portable(bound(file)) == []
    assert "/*" not in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT EXTRACT(DOW FROM a) FROM b",
        "SELECT format_datetime(a, 'y') FROM b",
        "SELECT FROM_UNIXTIME(a) FROM b",
        "SELECT nan() FROM b",
        "SELECT xxhash64(a) FROM b",
        "SELECT split_part(a, ',', 3) FROM b",
        "SELECT COALESCE(split_part(a, ',', 3), 'x') FROM b",
        "SELECT regexp_extract(a, 'x') FROM b",
        "SELECT a - INTERVAL '1' DAY FROM b",
        "SELECT a * 0.5 FROM b",
        "SELECT a / 5 FROM b",
        "SELECT 1 / a FROM b",
        "SELECT COUNT(*) / a FROM b",
        "SELECT (volume) / a FROM b",
        "SELECT a::DATE FROM b",
        "SELECT 1; SELECT 2",
        "/* why */ SELECT 1",
        "SELECT TRY_CAST(a AS DOUBLE) FROM b",
        "SELECT CASE WHEN a = 'x' THEN TRY_CAST(a AS DOUBLE) END FROM b",
        "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END AS c FROM b",
        "SELECT CAST(close_price AS VARCHAR) AS c FROM b",
        "SELECT 'at ' || CAST(b.fetched_at AS VARCHAR) AS c FROM b",
        "SELECT LN(a) FROM b",
        "SELECT TRIM(a) FROM b",
        "SELECT POWER(a, 2) FROM b",
    ],
)
def test_the_portability_check_finds_each_problem(sql: str) -> None:
    assert len(not_portable(sql)) == 1


def test_a_missing_parameter_names_the_file_and_the_parameter() -> None:
    file = statement("stage/stale_splits.sql")
    assert file.parameters == {"published_prices", "splits"}
    with pytest.raises(SqlTemplateError, match=r"sql/stage/stale_splits.sql needs \['splits'\]") as raised:
        file.bind({"published_prices": Name("a"), "unknown": 1})
    assert "published_prices" in str(raised.value)


def test_values_replace_whole_parameters_once() -> None:
    file = Statement("a", "a.sql", "", "", "", "SELECT ${a}, '$', '^x$' FROM ${b}")
    assert file.bind({"a": "${b} $1 \\1", "b": Name("c.d")}) == "SELECT '${b} $1 \\1', '$', '^x$' FROM c.d"


def test_statements_of_a_folder_are_sorted_by_name() -> None:
    names = [file.name for file in statements("audit/row")]
    assert names == sorted(names)
    assert "high_not_below_body" in names


@pytest.mark.parametrize("name", ["a", "_a1", "staged.daily_prices", "a.b.c", '"aws"."daily_prices"'])
def test_plain_names_are_valid(name: str) -> None:
    assert literal(Name(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "a;b", "1a", "a.", ".a", "a..b", "a-b", "a--", "a'", 'a"', '"a b"."c"', '"a"', "a\n", "é", "a(b)"],
)
def test_other_names_are_invalid(name: str) -> None:
    with pytest.raises(SqlTemplateError, match="not a plain SQL name"):
        Name(name)


def read_back(value: SqlValue) -> object:
    """Write a value into a statement in the Athena dialect, transpile and run it, and return the result."""
    # Not the connection of the module `duckdb`: other tests use it, and a fetched row leaves a result open.
    [row] = _connection().execute(transpile(f"SELECT {literal(value)} AS value")).fetchall()
    return row[0]


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@given(st.text())
@example("it's")
@example("'; DROP TABLE prices; --")
@example("\\")
@example("\\'")
@example("\\n")
@example("$'")
@example("/* */ -- x")
@example("\x00\r\n\t")
@example("''")
@example("漢字 🎈 \u202e")
def test_text_keeps_its_value(text: str) -> None:
    assert read_back(text) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
@example(-1.7976931348623157e308)
@example(1e22)
@example(1e-7)
@example(0.1)
@example(-12.0)
def test_floats_keep_every_bit(number: float) -> None:
    found = read_back(number)
    assert isinstance(found, float)
    assert found.hex() == number.hex()


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_float_that_is_no_number_has_no_literal(number: float) -> None:
    with pytest.raises(SqlTemplateError, match=f"^{number} has no SQL literal"):
        literal(number)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_integers_keep_their_value(number: int) -> None:
    assert read_back(number) == number


@pytest.mark.parametrize("value", [True, False])
def test_booleans_keep_their_value(value: bool) -> None:  # noqa: FBT001 (the value itself)
    assert read_back(value) is value


@given(st.dates())
def test_dates_keep_their_value(day: date) -> None:
    assert read_back(day) == day


@given(st.datetimes())
def test_timestamps_keep_their_value(timestamp: datetime) -> None:
    assert read_back(timestamp) == timestamp


def test_timestamps_with_a_time_zone_are_written_in_utc() -> None:
    timestamp = datetime(2012, 3, 1, 16, 0, 0, 1, tzinfo=timezone(timedelta(hours=-5)))
    assert literal(timestamp) == literal(timestamp.astimezone(UTC)) == "TIMESTAMP '2012-03-01 21:00:00.000001'"
