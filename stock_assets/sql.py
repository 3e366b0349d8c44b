"""Finds, describes, binds and escapes the statements under `sql/`.

Belongs here: the one place where values become SQL text. Does not belong here: any statement (they are files
under `sql/`), or running one (`homes`).

Statements are written once, in the Athena (Trino) dialect, one a file. A file opens with `--` lines that say what
it is for; a line `-- remedy: ...` says what to do about the rows it finds. `${name}` marks what is bound.
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

from stock_assets.errors import SqlTemplateError

_PLACEHOLDER = re.compile(r"\$\{([a-z_]+)\}")
_NAME = re.compile(r'[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*|"[a-z_][a-z0-9_]*"\."[a-z_][a-z0-9_]*"')
_REMEDY = "remedy:"


@dataclass(frozen=True)
class Name:
    """A table or column name; only plain lower-case names pass."""

    value: str

    def __post_init__(self) -> None:
        """Refuse anything else."""
        if not _NAME.fullmatch(self.value):
            raise SqlTemplateError(f"not a plain SQL name: {self.value!r}")


@dataclass(frozen=True)
class Fragment:
    """SQL that was itself bound from a file, to be placed inside another statement."""

    text: str


SqlValue = str | int | float | date | datetime | Name | Fragment


@dataclass(frozen=True)
class Statement:
    """One SQL file.

    Attributes:
        name: file name without ending.
        path: path below `sql/`, for links and messages.
        description: the opening comment.
        remedy: what to do about rows found, for audits; else empty.
        text: the statement without its opening comment, with `${name}` marks.
    """

    name: str
    path: str
    description: str
    remedy: str
    text: str

    @property
    def parameters(self) -> frozenset[str]:
        """Names this statement needs bound."""
        return frozenset(_PLACEHOLDER.findall(self.text))

    def bind(self, values: Mapping[str, SqlValue]) -> str:
        """Write the values into the statement; values it does not name are left aside.

        Raises:
            SqlTemplateError: a mark of the statement has no value.
        """
        missing = self.parameters - values.keys()
        if missing:
            raise SqlTemplateError(f"sql/{self.path} needs {sorted(missing)}; known here: {sorted(values)}")
        return _PLACEHOLDER.sub(lambda mark: literal(values[mark[1]]), self.text)


def literal(value: SqlValue) -> str:
    """Write one value as SQL.

    Text is safe because a single quote is the only character with a meaning inside a SQL string literal, and it
    is doubled; neither Trino nor DuckDB knows backslash escapes in plain literals. Moments are written in UTC.

    Raises:
        SqlTemplateError: the value has no literal that both engines read alike.
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
                raise SqlTemplateError(f"{value!r} has no SQL literal; look for the division or the cast it came from")
            return f"{value!r}E0" if "e" not in repr(value) else repr(value).upper()
        case str():
            return "'" + value.replace("'", "''") + "'"


def statement(path: str) -> Statement:
    """Read one file by its path below `sql/`, such as `stage/daily_prices.sql`."""
    return _read(path)


def statements(folder: str) -> list[Statement]:
    """Read every file of a folder below `sql/`, sorted by name."""
    entries = bundled("sql").joinpath(folder).iterdir()
    return [_read(f"{folder}/{name}") for name in sorted(entry.name for entry in entries) if name.endswith(".sql")]


def bundled(name: str) -> Traversable:
    """Find a top-level folder of the project: inside an installed wheel, else beside the package in a checkout."""
    installed = files("stock_assets").joinpath("_bundled", *name.split("/"))
    return installed if installed.is_dir() else Path(__file__).parent.parent / name


@cache
def _read(path: str) -> Statement:
    lines = bundled("sql").joinpath(*path.split("/")).read_text(encoding="utf-8").splitlines()
    body = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    comment = [line.removeprefix("--").strip() for line in lines[:body]]
    remedies = [number for number, line in enumerate(comment) if line.startswith(_REMEDY)]
    split = remedies[0] if remedies else len(comment)
    return Statement(
        name=path.rpartition("/")[2].removesuffix(".sql"),
        path=path,
        description=" ".join(comment[:split]),
        remedy=" ".join(comment[split:]).removeprefix(_REMEDY).strip(),
        text="\n".join(lines[body:]).strip(),
    )
