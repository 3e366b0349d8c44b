"""Check queries, and translate them to DuckDB's dialect.

Belongs here: the dialects of queries. Does not belong here: reading and binding statements (`sql`), running them
(`backends`), storing translations (`text_cache`).
"""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from stock_assets.core.errors import InvalidQuery
from stock_assets.core.text import plural
from stock_assets.core.text_cache import cached_text

if TYPE_CHECKING:
    import sqlglot
    from sqlglot import exp

_DIALECT = "athena"
_TRANSLATIONS = "duckdb"
_VARYING = re.compile(r"(?<=DATE ')\d{4}-\d\d-\d\d(?=')|(?<=')load_\d{8}t\w+(?=')")
_MOST_MASKS = 999
_MASK = re.compile(r"(?:load_)?9(\d{3})-12-31")


@lru_cache(maxsize=8)
def parse_query(text: str) -> "exp.Query":
    """Parse a single SELECT in the Athena dialect; it may contain `WITH` and `UNION`. Do not change the result.

    Raises:
        InvalidQuery: the text is empty, cannot be parsed, has several statements, or changes data.
    """
    import sqlglot  # noqa: PLC0415 (slow to import, and a cached translation does not need it)
    from sqlglot import exp  # noqa: PLC0415 (as above)

    try:
        parsed = sqlglot.parse(text, read=_DIALECT)
    except sqlglot.errors.SqlglotError as error:
        raise _invalid(f"it cannot be parsed in the Athena dialect: {_syntax(error)}", "Correct it.", text) from error
    found = [one for one in parsed if one is not None and not isinstance(one, exp.Semicolon)]
    if not found:
        raise _invalid("it is empty", "Write a SELECT, such as: SELECT * FROM published.daily_prices LIMIT 5", text)
    if len(found) > 1:
        raise _invalid(f"it is not a single SELECT but {plural(len(found), 'statement')}", "Run one at a time.", text)
    query = found[0]
    # A SELECT can contain parts that change data: `SELECT ... INTO`, a CTE that inserts.
    if not isinstance(query, exp.Query) or query.find(exp.DML, exp.DDL, exp.Command, exp.Into):
        raise _invalid("it is not a single SELECT, and a query may only read", "Rewrite it as a SELECT.", text)
    return query


@lru_cache(maxsize=256)
def transpile(select: str) -> str:
    """Translate a single SELECT from the Athena dialect to DuckDB's.

    Raises:
        InvalidQuery: the text is not a single SELECT.
    """
    masked, values = _mask(select)

    def translate() -> str:
        try:
            query = parse_query(masked)
        except InvalidQuery:
            # The message contains the text as it was written.
            query = parse_query(select)
        return query.sql(dialect="duckdb", comments=False)

    return _unmask(cached_text(_TRANSLATIONS, [_program(), masked], translate), values)


@cache
def _program() -> str:
    """Identify the program that translates: sqlglot's version, and this module."""
    return version("sqlglot") + Path(__file__).read_text(encoding="utf-8")


def _mask(select: str) -> tuple[str, list[str]]:
    """Replace dates and the ids of loads, so that the statements of every session have the same text.

    sqlglot never looks into them: each is replaced by a value of the same form that the text does not contain.
    """
    values: list[str] = []
    if _MASK.search(select) or len(_VARYING.findall(select)) > _MOST_MASKS:
        return select, values

    def replaced(found: re.Match[str]) -> str:
        values.append(found[0])
        return _date_mask(len(values)) if found[0][0].isdigit() else f"load_{_date_mask(len(values))}"

    return _VARYING.sub(replaced, select), values


def _unmask(translated: str, values: Sequence[str]) -> str:
    return _MASK.sub(lambda found: values[int(found[1]) - 1], translated) if values else translated


def _date_mask(number: int) -> str:
    return f"9{number:03d}-12-31"


def query_text(text: str) -> str:
    """Return the text of a single SELECT without the comments and semicolons around it, which Trino does not accept.

    Raises:
        InvalidQuery: the text is not a single SELECT.
    """
    from sqlglot import tokenize  # noqa: PLC0415 (as in parse_query)
    from sqlglot.tokenizer_core import TokenType  # noqa: PLC0415 (as in parse_query)

    parse_query(text)
    tokens = [token for token in tokenize(text, read=_DIALECT) if token.token_type is not TokenType.SEMICOLON]
    return text[tokens[0].start : tokens[-1].end + 1]


def table_names(text: str, schema: str) -> set[str]:
    """Return the names of the tables and views of a schema that a SELECT reads, in lower case.

    Raises:
        InvalidQuery: the text is not a single SELECT.
    """
    from sqlglot import exp  # noqa: PLC0415 (as in parse_query)

    return {table.name.lower() for table in parse_query(text).find_all(exp.Table) if table.db.lower() == schema}


def _syntax(error: "sqlglot.errors.SqlglotError") -> str:
    """Format a syntax error without the terminal colours of sqlglot's own message."""
    found = getattr(error, "errors", [])
    if found:
        first = found[0]
        return f"{first['description']} at line {first['line']}, column {first['col']}"
    return str(error)


def _invalid(reason: str, remedy: str, text: str) -> InvalidQuery:
    return InvalidQuery(f"The query was not run: {reason}. {remedy}\n{text}".rstrip())
