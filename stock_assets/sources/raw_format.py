"""The format of raw price responses: one CSV per symbol, which every source returns and staging reads.

Belongs here: checking the form of such a file and reading its sessions. Does not belong here: checking the numbers (the
audits), error messages that a vendor sends instead of data (each source).
"""

import re
from collections.abc import Sequence
from datetime import date

from stock_assets.core.errors import EmptyResponse, MalformedResponse
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import first_line

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Quotes and these characters end a line or a field for some CSV parsers and not for others.
_AMBIGUOUS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\"]")


def parse_prices(body: bytes, symbol: str) -> list[date]:
    """Check the form of a price response and return its sessions; the audits check the numbers.

    Returns:
        the sessions, newest first, as in the body.

    Raises:
        EmptyResponse: the body has no bars.
        MalformedResponse: the header, the number of fields, a date or the order is wrong.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"the body is not UTF-8 text: {error}", symbol=symbol) from error
    if not text.strip():
        raise EmptyResponse("the body is empty", symbol=symbol)
    header = ",".join(RAW_COLUMNS)
    if text.partition("\n")[0].removesuffix("\r") != header:
        raise MalformedResponse(f"the header is {first_line(text)!r}, not {header!r}", symbol=symbol)
    rows = _lines(text, symbol)[1:]
    sessions = [_session(fields, number, symbol) for number, fields in enumerate(rows, start=2)]
    if not sessions:
        raise EmptyResponse("the body has a header and no bars", symbol=symbol)
    if sessions != sorted(sessions, reverse=True):
        raise MalformedResponse("the bars are not in order, newest first", symbol=symbol)
    return sessions


def _lines(text: str, symbol: str) -> list[list[str]]:
    """Split a text into lines and fields; raise an error where CSV parsers would differ."""
    odd = _AMBIGUOUS.search(text)
    if odd:
        raise MalformedResponse(f"the body contains the character {odd.group()!r}", symbol=symbol)
    ending = "\r\n" if "\r" in text else "\n"
    lines = text.split(ending)
    if any("\r" in line or "\n" in line for line in lines):
        raise MalformedResponse("the body mixes different line endings", symbol=symbol)
    if lines.pop():
        raise MalformedResponse("the last line is incomplete", symbol=symbol)
    return [line.split(",") for line in lines]


def iso_date(text: object) -> date:
    """Parse `YYYY-MM-DD`, and no other form of a date.

    Raises:
        ValueError: the text has another form.
    """
    # fromisoformat alone would also accept 20120301 and 2012-W09-4.
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError(f"not a date: {text!r}")
    return date.fromisoformat(text)


def _session(fields: Sequence[str], number: int, symbol: str) -> date:
    if len(fields) != len(RAW_COLUMNS):
        raise MalformedResponse(f"line {number} has {len(fields)} fields, not {len(RAW_COLUMNS)}", symbol=symbol)
    try:
        return iso_date(fields[0])
    except ValueError:
        raise MalformedResponse(
            f"line {number} begins with {first_line(fields[0])!r}, not a date", symbol=symbol
        ) from None
