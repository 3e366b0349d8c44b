"""From the names that statements use to what they stand for in the catalog.

Belongs here: replacing `published.daily_prices`, `staged.typed_prices`, `input.sessions`, `raw.daily_prices` in a
statement. Does not belong here: what they stand for (`session`).

Statements are sent as they are written, comments and all; only these names are replaced, and only where the dialect
reads a name: not in texts, not in comments.
"""

from collections.abc import Callable

import sqlglot
from sqlglot.tokenizer_core import TokenType

from stock_assets.core.errors import QueryFailed

SCHEMAS = frozenset({"published", "staged", "input", "raw"})

Resolve = Callable[[str, str], str | None]
"""Gives what (schema, name) stands for, or None to leave it as it is written."""


def resolved(statement: str, resolve: Resolve) -> str:
    """Replace the names of a statement.

    Raises:
        QueryFailed: the text cannot be read in the Athena dialect.
    """
    try:
        tokens = sqlglot.tokenize(statement, read="athena")
    except sqlglot.errors.SqlglotError as error:
        raise QueryFailed(f"not a statement in the Athena dialect: {error}\n{statement}") from error
    text, done = [], 0
    for number in range(len(tokens) - 2):
        schema, dot, name = tokens[number : number + 3]
        if dot.token_type is not TokenType.DOT or schema.text.lower() not in SCHEMAS:
            continue
        if number and tokens[number - 1].token_type is TokenType.DOT:
            continue
        meaning = resolve(schema.text.lower(), name.text.lower())
        if meaning is not None:
            text += [statement[done : schema.start], meaning]
            done = name.end + 1
    return "".join([*text, statement[done:]])
