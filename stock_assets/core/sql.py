"""Read the statements under `sql/`, and bind values to them.

Belongs here: the only code that writes values as SQL text. Does not belong here: statements (they are files under
`sql/`), checking and translating them (`queries`), running them (`backends`).

Each statement is written once, in the Athena (Trino) dialect, one per file. A file begins with `--` lines that describe
its purpose; a line `-- remedy: ...` says what to do about the rows it finds, a line `-- scope: ...` which symbols an
audit has to see at once. `${name}` is a parameter.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from stock_assets.core.errors import SqlTemplateError

_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)\}")
_NAME = re.compile(r'[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*|"[a-z_][a-z0-9_]*"\."[a-z_][a-z0-9_]*"')
_REMEDY = "remedy:"
_SCOPE = "scope:"


@dataclass(frozen=True)
class Name:
    """A table or column name; only plain lower-case names are valid."""

    value: str

    def __post_init__(self) -> None:
        """Raise an error for any other name."""
        if not _NAME.fullmatch(self.value):
            raise SqlTemplateError(f"not a plain SQL name: {self.value!r}")


@dataclass(frozen=True)
class Fragment:
    """A bound statement as part of another statement."""

    text: str


SqlValue = str | int | float | date | datetime | Name | Fragment


@dataclass(frozen=True)
class Statement:
    """One SQL file.

    Attributes:
        name: file name without extension.
        path: path below `sql/`, for links and messages.
        description: the opening comment.
        remedy: for audits, what to do about the rows found; otherwise empty.
        scope: for audits, `all symbols` if they compare symbols with each other; otherwise empty.
        text: the statement without its opening comment, with `${name}` parameters.
    """

    name: str
    path: str
    description: str
    remedy: str
    scope: str
    text: str

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def bind(self, values: Mapping[str, SqlValue]) -> str:
        """Return the statement with values in place of its parameters; other values are ignored.

        Raises:
            SqlTemplateError: a parameter has no value.
        """
        missing = self.parameters - values.keys()
        if missing:
            raise SqlTemplateError(f"sql/{self.path} needs {sorted(missing)}; available: {sorted(values)}")
        return _PLACEHOLDER.sub(lambda mark: literal(values[mark[1]]), self.text)


def literal(value: SqlValue) -> str:
    """Return a value as SQL text.

    Text is safe because a single quote is the only character with a meaning inside a SQL string literal, and it is
    doubled; neither Trino nor DuckDB has backslash escapes in plain literals. Timestamps are written in UTC.

    Raises:
        SqlTemplateError: the value has no literal that has the same meaning in both engines.
    """
    match value:
        case Name(value=text) | Fragment(text=text):
            return text
        case datetime():
            utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            return f"TIMESTAMP '{utc.isoformat(' ', 'microseconds')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case bool() | int():
            return str(value).upper()
        case float():
            if not math.isfinite(value):
                raise SqlTemplateError(f"{value!r} has no SQL literal; find the division or the cast that produced it")
            return f"{value!r}E0" if "e" not in repr(value) else repr(value).upper()
        case str():
            return "'" + value.replace("'", "''") + "'"


def statement(path: str) -> Statement:
    """Return the statement at a path below `sql/`, such as `stage/daily_prices.sql`."""
    return _read(path)


def statements(folder: str) -> list[Statement]:
    """Return the statements of a folder below `sql/`, sorted by name."""
    entries = bundled("sql").joinpath(folder).iterdir()
    return [_read(f"{folder}/{name}") for name in sorted(entry.name for entry in entries) if name.endswith(".sql")]


def bundled(name: str) -> Traversable:
    """Return a top-level folder of the project: in an installed wheel inside the package, in a checkout beside it."""
    installed = files("stock_assets").joinpath("_bundled", *name.split("/"))
    return installed if installed.is_dir() else Path(__file__).parents[2] / name


@cache
def _read(path: str) -> Statement:
    lines = bundled("sql").joinpath(*path.split("/")).read_text(encoding="utf-8").splitlines()
    body = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    opening = [line.removeprefix("--").strip() for line in lines[:body]]
    comment = [line for line in opening if not line.startswith(_SCOPE)]
    remedies = [number for number, line in enumerate(comment) if line.startswith(_REMEDY)]
    split = remedies[0] if remedies else len(comment)
    return Statement(
        name=path.rpartition("/")[2].removesuffix(".sql"),
        path=path,
        description=" ".join(comment[:split]),
        remedy=" ".join(comment[split:]).removeprefix(_REMEDY).strip(),
        scope=" ".join(line.removeprefix(_SCOPE).strip() for line in opening if line.startswith(_SCOPE)),
        text="\n".join(lines[body:]).strip(),
    )
