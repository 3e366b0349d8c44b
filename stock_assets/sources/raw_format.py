"""The format of raw price responses: one CSV per symbol, which every source returns and staging reads.

Belongs here: checking the form of such a file and reading its rows. Does not belong here: checking the numbers (the
audits), error messages that a vendor sends instead of data (each source), future dates (`ingest.response_reader`).

The format is lines, not general CSV: a line ends at LF or CRLF, a field at a comma, and no character is special. So
every engine reads the same rows (`sql/stage/raw_rows.sql`), and a bad row affects only itself:

- A row with a readable date of a trading session belongs to that session, whatever its other fields are. If it has too
  few fields, the missing ones are empty; if it has too many, they belong to the volume, which is then no number. The
  audits quarantine that bar, and also contradicting rows of one session. The order of rows has no meaning.
- A row without such a date belongs to no session; the ledger states how many such rows a response has, and the first.
- A blank line is ignored.

A response is rejected as a whole only if its structure is wrong: encoding, header, an incomplete last line (the
response was cut off), a carriage return inside a line, or no row with all fields and a date of a session.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from stock_assets.core.calendar import is_session
from stock_assets.core.errors import EmptyResponse, MalformedResponse
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import first_line, plural

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class RawRow:
    """One row of a response: the number and text of its line, and the date in its first field, if it is readable."""

    number: int
    line: str
    day: date | None

    @property
    def fields(self) -> list[str]:
        """The fields of the line."""
        return self.line.split(",")


@dataclass(frozen=True)
class PriceRows:
    """The rows of a response, in its order.

    Attributes:
        bars: rows of trading sessions, at least one; several rows may be of one session.
        unusable: rows of no session, each with the reason.
    """

    bars: tuple[RawRow, ...]
    unusable: tuple[tuple[RawRow, str], ...] = ()

    @property
    def sessions(self) -> list[date]:
        """The sessions with at least one row, newest first."""
        return sorted({row.day for row in self.bars if row.day is not None}, reverse=True)

    def until(self, last: date, symbol: str) -> "PriceRows":
        """Return the rows with those after a day among the unusable ones.

        Raises:
            MalformedResponse: all rows are later.
        """
        later = [(row, "its date is in the future") for row in self.bars if row.day is not None and row.day > last]
        if not later:
            return self
        rows = replace(
            self,
            bars=tuple(row for row in self.bars if row.day is not None and row.day <= last),
            unusable=tuple(sorted([*self.unusable, *later], key=lambda one: one[0].number)),
        )
        return _require_bars(rows, symbol)

    def describe_unusable(self) -> str:
        """Return the number of unusable rows and the first one, for messages; empty if all rows are usable."""
        if not self.unusable:
            return ""
        row, why = self.unusable[0]
        count = plural(len(self.unusable), "row belongs to no session", "rows belong to no session")
        return f"{count}, {'the first: ' if len(self.unusable) > 1 else ''}line {row.number} {row.line!r:.120}: {why}"


def parse_prices(body: bytes, symbol: str) -> PriceRows:
    """Check the structure of a price response and read its rows; the audits check the numbers.

    Raises:
        EmptyResponse: the body has no rows.
        MalformedResponse: the encoding, the header or the structure of the lines is wrong, or no row is usable.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"the body is not UTF-8 text: {error}", symbol=symbol) from error
    if not text.strip():
        raise EmptyResponse("the body is empty", symbol=symbol)
    header = ",".join(RAW_COLUMNS)
    if text.partition("\n")[0].removesuffix("\r") != header:
        raise MalformedResponse(f"the header is {first_line(text)!r}, not {header!r}", symbol=symbol)
    if not text.endswith("\n"):
        raise MalformedResponse("the last line is incomplete", symbol=symbol)
    rows = split_rows(text)
    if not rows:
        raise EmptyResponse("the body has a header and no bars", symbol=symbol)
    inside = next((row for row in rows if "\r" in row.line), None)
    if inside is not None:
        raise MalformedResponse(f"line {inside.number} has a carriage return inside", symbol=symbol)
    usable = [row for row in rows if row.day is not None and is_session(row.day)]
    unusable = [(row, _why_unusable(row)) for row in rows if row.day is None or not is_session(row.day)]
    return _require_bars(PriceRows(tuple(usable), tuple(unusable)), symbol)


def split_rows(text: str) -> list[RawRow]:
    """Split the text of a response into its rows, without the header and blank lines."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [
        RawRow(number, line, _day(line)) for number, line in enumerate(lines, start=1) if number > 1 and _has_text(line)
    ]


def iso_date(text: object) -> date:
    """Parse `YYYY-MM-DD`, and no other form of a date.

    Raises:
        ValueError: the text has another form.
    """
    # fromisoformat alone would also accept 20120301 and 2012-W09-4.
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError(f"not a date: {text!r}")
    return date.fromisoformat(text)


def _require_bars(rows: PriceRows, symbol: str) -> PriceRows:
    if not any(len(row.fields) == len(RAW_COLUMNS) for row in rows.bars):
        raise MalformedResponse(
            f"no row is usable: {rows.describe_unusable() or _first_incomplete(rows.bars)}", symbol=symbol
        )
    return rows


def _first_incomplete(rows: Iterable[RawRow]) -> str:
    row = next(iter(rows))
    return f"line {row.number} {row.line!r:.120} has {plural(len(row.fields), 'field')}, not {len(RAW_COLUMNS)}"


def _why_unusable(row: RawRow) -> str:
    return "it begins with no date" if row.day is None else f"{row.day} is no trading session"


def _has_text(line: str) -> bool:
    # The same test as in sql/stage/raw_rows.sql: str.strip would also remove other characters.
    return bool(line.strip(" "))


def _day(line: str) -> date | None:
    try:
        return iso_date(line.partition(",")[0].strip(" "))
    except ValueError:
        return None
