"""Replace the logical table names of a statement by SQL for the catalog.

Belongs here: finding names such as `published.daily_prices`, `staged.typed_prices`, `input.sessions` and
`raw.daily_prices` in a statement. Does not belong here: the SQL that replaces each name (`sql_session`).

A statement is sent as it is written, with its comments. Only these names are replaced, and only where the dialect reads
a name: not in string literals and not in comments.
"""

from collections.abc import Callable

import sqlglot
from sqlglot.tokenizer_core import TokenType

from stock_assets.core.errors import QueryFailed

SCHEMAS = frozenset({"published", "staged", "input", "raw"})

Resolve = Callable[[str, str], str | None]
"""Returns the SQL that replaces (schema, name), or None to keep the name."""


def replace_names(statement: str, resolve: Resolve) -> str:
    """Return the statement with its logical names replaced.

    Raises:
        QueryFailed: the text cannot be parsed in the Athena dialect.
    """
    try:
        tokens = sqlglot.tokenize(statement, read="athena")
    except sqlglot.errors.SqlglotError as error:
        raise QueryFailed(f"The statement cannot be parsed in the Athena dialect: {error}\n{statement}") from error
    text, done = [], 0
    for number in range(len(tokens) - 2):
        schema, dot, name = tokens[number : number + 3]
        if dot.token_type is not TokenType.DOT or schema.text.lower() not in SCHEMAS:
            continue
        if number and tokens[number - 1].token_type is TokenType.DOT:
            continue
        replacement = resolve(schema.text.lower(), name.text.lower())
        if replacement is not None:
            text += [statement[done : schema.start], replacement]
            done = name.end + 1
    return "".join([*text, statement[done:]])
