"""The format of raw price responses: one CSV per symbol, which every source writes and staging reads.

Belongs here: checking the form of such a file and reading its sessions. Does not belong here: the numbers in it (the
audits), errors that a vendor sends in place of data (each source).
"""

import re
from collections.abc import Sequence
from datetime import date

from stock_assets.core.errors import EmptyResponse, MalformedResponse
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import first_line

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Quotes and these characters end a line or a field for one CSV reader and not for another.
_AMBIGUOUS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\"]")


def parse_prices(body: bytes, symbol: str) -> list[date]:
    """Check the form of a daily CSV and read its sessions; the numbers are left to the audits.

    Returns:
        the sessions, newest first, as they stand in the body.

    Raises:
        EmptyResponse: there is no bar.
        MalformedResponse: the header, the number of fields, a date or the order is not as the interface says.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"not text: {error}", symbol=symbol) from error
    if not text.strip():
        raise EmptyResponse("the body is empty", symbol=symbol)
    header = ",".join(RAW_COLUMNS)
    if text.partition("\n")[0].removesuffix("\r") != header:
        raise MalformedResponse(f"the header is {first_line(text)!r}, not {header!r}", symbol=symbol)
    rows = _lines(text, symbol)[1:]
    sessions = [_session(fields, number, symbol) for number, fields in enumerate(rows, start=2)]
    if not sessions:
        raise EmptyResponse("a header and no bar", symbol=symbol)
    if sessions != sorted(sessions, reverse=True):
        raise MalformedResponse("the bars are not newest first", symbol=symbol)
    return sessions


def _lines(text: str, symbol: str) -> list[list[str]]:
    """Split into lines and fields, only where every reader of CSV would."""
    odd = _AMBIGUOUS.search(text)
    if odd:
        raise MalformedResponse(f"the body holds the character {odd.group()!r}", symbol=symbol)
    ending = "\r\n" if "\r" in text else "\n"
    lines = text.split(ending)
    if any("\r" in line or "\n" in line for line in lines):
        raise MalformedResponse("the lines end in different ways", symbol=symbol)
    if lines.pop():
        raise MalformedResponse("the last line is cut off", symbol=symbol)
    return [line.split(",") for line in lines]


def iso_date(text: object) -> date:
    """Read `YYYY-MM-DD`, and no other form of a date.

    Raises:
        ValueError: the text is anything else.
    """
    # fromisoformat alone would also take 20120301 and 2012-W09-4.
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
