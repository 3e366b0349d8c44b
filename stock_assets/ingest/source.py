"""What the pipeline asks of a vendor of daily prices.

Belongs here: the interface and the strict reading of the answers' format, which every source shares. Does not
belong here: any vendor (`recorded`, `alpha_vantage`), or when to ask (`fetch`).

Adding a vendor is one module with one `PriceSource`: its answers must be in the CSV this module reads (a vendor
with another format translates it before it answers), and its failures must be the typed errors of
`stock_assets.errors`. `read_prices` and `read_splits` then judge the stored body.
"""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

import dagster as dg

from stock_assets.errors import EmptyAnswer, MalformedPayload

DAILY_HEADER = ("timestamp", "open", "high", "low", "close", "volume")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SHOWN = 120


@dataclass(frozen=True)
class Split:
    """One split: from `ex_date` on, one earlier share counts as `ratio` shares."""

    ex_date: date
    ratio: Decimal


class PriceSource(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]  # the base resolves its own type argument
    """A vendor of daily bars and splits.

    Both questions give the answer's body, byte for byte; it is stored before it is read, so a body that turns out
    to be an error message is kept too.
    """

    @property
    @abstractmethod
    def label(self) -> str:
        """One line that says what the data is, shown wherever it appears."""

    @property
    def first_session(self) -> date | None:
        """First session this source can ever have, if it is known."""
        return None

    @property
    def last_session(self) -> date | None:
        """Last session this source can ever have, or None if it grows every day."""
        return None

    @abstractmethod
    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Ask for the daily bars of a symbol; the answer may hold more sessions than those asked for.

        Args:
            symbol: ticker.
            sessions: sessions wanted, in order, at least one.

        Raises:
            SourceError: no answer, or none possible.
        """

    @abstractmethod
    def fetch_splits(self, symbol: str) -> bytes:
        """Ask for all splits of a symbol.

        Raises:
            SourceError: no answer, or none possible.
        """

    @abstractmethod
    def refuse_error_body(self, body: bytes, symbol: str) -> None:
        """Recognise an error the vendor sends in place of data.

        Raises:
            SourceError: the body is one.
        """

    def read_prices(self, body: bytes, symbol: str) -> list[date]:
        """Read the sessions of a price answer, newest first; raises what `parse_prices` and the vendor's errors say."""
        self.refuse_error_body(body, symbol)
        return parse_prices(body, symbol)

    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Read the splits of an answer, oldest first; raises what `parse_splits` and the vendor's errors say."""
        self.refuse_error_body(body, symbol)
        return parse_splits(body, symbol)


def parse_prices(body: bytes, symbol: str) -> list[date]:
    """Check the form of a daily CSV and read its sessions; the numbers are left to the audits.

    Returns:
        the sessions, newest first, as they stand in the body.

    Raises:
        EmptyAnswer: there is no bar.
        MalformedPayload: the header, the number of fields, a date or the order is not as the interface says.
    """
    try:
        text = body.decode("utf-8")
        lines = list(csv.reader(text.splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MalformedPayload(f"not CSV text: {error}", symbol=symbol) from error
    if not text.strip():
        raise EmptyAnswer("the body is empty", symbol=symbol)
    if tuple(lines[0]) != DAILY_HEADER:
        raise MalformedPayload(f"the header is {_shown(text)!r}, not {','.join(DAILY_HEADER)!r}", symbol=symbol)
    if not text.endswith("\n"):
        raise MalformedPayload("the last line is cut off", symbol=symbol)
    sessions = [_session(fields, number, symbol) for number, fields in enumerate(lines[1:], start=2)]
    if not sessions:
        raise EmptyAnswer("a header and no bar", symbol=symbol)
    if sessions != sorted(sessions, reverse=True):
        raise MalformedPayload("the bars are not newest first", symbol=symbol)
    return sessions


def parse_splits(body: bytes, symbol: str) -> list[Split]:
    """Read the body of the `SPLITS` function: `{"symbol": ..., "data": [{"effective_date", "split_factor"}]}`.

    Raises:
        MalformedPayload: the body is anything else, or of another symbol.
    """
    try:
        answer = json.loads(body)
        about = answer["symbol"]
        splits = [
            Split(date.fromisoformat(entry["effective_date"]), Decimal(entry["split_factor"]))
            for entry in answer["data"]
        ]
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise MalformedPayload(
            f"not a list of splits: {_shown(body.decode(errors='replace'))!r}", symbol=symbol
        ) from error
    if about != symbol:
        raise MalformedPayload(f"the answer is about {_shown(str(about))!r}", symbol=symbol)
    if any(not split.ratio.is_finite() or split.ratio <= 0 for split in splits):
        raise MalformedPayload("a split ratio is not above zero", symbol=symbol)
    if len({split.ex_date for split in splits}) != len(splits):
        raise MalformedPayload("two splits on one day", symbol=symbol)
    return sorted(splits, key=lambda split: split.ex_date)


def _session(fields: Sequence[str], number: int, symbol: str) -> date:
    if len(fields) != len(DAILY_HEADER):
        raise MalformedPayload(f"line {number} has {len(fields)} fields, not {len(DAILY_HEADER)}", symbol=symbol)
    # fromisoformat alone would also take 20120301 and 2012-W09-4.
    day = _date(fields[0]) if _DATE.fullmatch(fields[0]) else None
    if day is None:
        raise MalformedPayload(f"line {number} begins with {_shown(fields[0])!r}, not a date", symbol=symbol)
    return day


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _shown(text: str) -> str:
    return text.strip().splitlines()[0][:_SHOWN] if text.strip() else ""
