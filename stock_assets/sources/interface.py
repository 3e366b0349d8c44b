"""What the pipeline asks of a vendor of daily prices.

Belongs here: the interface and the strict reading of the answers' format, which every source shares. Does not
belong here: any vendor (`recorded`, `alpha_vantage`), when to ask (`fetch`), or spending calls (`calls`).

Adding a vendor is one module with one `PriceSource`: its answers must be in the CSV this module reads (a vendor
with another format translates it before it answers), and its failures must be the typed errors of
`stock_assets.core.errors`. `read_prices` and `read_splits` then judge the stored body.

A CSV answer does not say which symbol it is about, so an answer for another symbol cannot be told by its form. What
can be told: two symbols never have the same bytes (`Terms.distinct_responses`), a splits answer names its symbol, and
an answer that is really another's changes published bars, which the audit `no_revised_prices` shows.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

import dagster as dg

from stock_assets.backends.rate_limiter import CallLimits
from stock_assets.core.errors import EmptyResponse, MalformedResponse

DAILY_HEADER = ("timestamp", "open", "high", "low", "close", "volume")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Quotes and these marks end a line or a field for one reader and not for another; the vendor's CSV has none of them.
_AMBIGUOUS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\"]")
_SHOWN = 120


@dataclass(frozen=True)
class Split:
    """One split: from `ex_date` on, one earlier share counts as `ratio` shares."""

    ex_date: date
    ratio: Decimal


@dataclass(frozen=True)
class Terms:
    """How a vendor wants to be asked.

    Attributes:
        limits: calls the plan allows.
        attempts: requests for one symbol in one run at most, as long as the failures are transient.
        first_pause_seconds: pause after a transient failure; it doubles with each further one in a row.
        splits_refresh: age at which an answer about splits is asked for again; None means in every run.
        distinct_responses: whether the same price bytes for two symbols prove that one answer is wrong.
    """

    limits: CallLimits = field(default_factory=CallLimits)
    attempts: int = 1
    first_pause_seconds: float = 1.0
    splits_refresh: timedelta | None = None
    distinct_responses: bool = False


@dataclass(frozen=True)
class AvailableHistory:
    """How far back answers go at the moment.

    Attributes:
        first: earliest session that can be had.
        why: what sets that limit, and what would lift it, for people.
    """

    first: date
    why: str


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
    def vendor(self) -> str:
        """Short name of the account: calls are counted under it, and the vendor's asset bears it."""
        return type(self).__name__.removesuffix("Source").lower()

    @property
    def terms(self) -> Terms:
        """How to ask; by default calls cost nothing and are not repeated."""
        return Terms()

    def available_history(self, at: datetime) -> AvailableHistory | None:
        """Say how far back an answer goes at that moment, or None if there is no limit."""
        del at
        return None

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
            SourceError: no answer, or none possible. Nothing it carries holds a secret.
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
        EmptyResponse: there is no bar.
        MalformedResponse: the header, the number of fields, a date or the order is not as the interface says.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedResponse(f"not text: {error}", symbol=symbol) from error
    if not text.strip():
        raise EmptyResponse("the body is empty", symbol=symbol)
    header = ",".join(DAILY_HEADER)
    if text.partition("\n")[0].removesuffix("\r") != header:
        raise MalformedResponse(f"the header is {_shown(text)!r}, not {header!r}", symbol=symbol)
    rows = _lines(text, symbol)[1:]
    sessions = [_session(fields, number, symbol) for number, fields in enumerate(rows, start=2)]
    if not sessions:
        raise EmptyResponse("a header and no bar", symbol=symbol)
    if sessions != sorted(sessions, reverse=True):
        raise MalformedResponse("the bars are not newest first", symbol=symbol)
    return sessions


def parse_splits(body: bytes, symbol: str) -> list[Split]:
    """Read the body of the `SPLITS` function: `{"symbol": ..., "data": [{"effective_date", "split_factor"}]}`.

    Raises:
        MalformedResponse: the body is anything else, or of another symbol.
    """
    try:
        answer = json.loads(body)
        about = answer["symbol"]
        splits = [Split(_iso_date(entry["effective_date"]), Decimal(entry["split_factor"])) for entry in answer["data"]]
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise MalformedResponse(
            f"not a list of splits: {_shown(body.decode(errors='replace'))!r}", symbol=symbol
        ) from error
    if about != symbol:
        raise MalformedResponse(f"the answer is about {_shown(str(about))!r}", symbol=symbol)
    if any(not split.ratio.is_finite() or split.ratio <= 0 for split in splits):
        raise MalformedResponse("a split ratio is not above zero", symbol=symbol)
    if len({split.ex_date for split in splits}) != len(splits):
        raise MalformedResponse("two splits on one day", symbol=symbol)
    return sorted(splits, key=lambda split: split.ex_date)


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


def _iso_date(text: object) -> date:
    # fromisoformat alone would also take 20120301 and 2012-W09-4.
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError(f"not a date: {text!r}")
    return date.fromisoformat(text)


def _session(fields: Sequence[str], number: int, symbol: str) -> date:
    if len(fields) != len(DAILY_HEADER):
        raise MalformedResponse(f"line {number} has {len(fields)} fields, not {len(DAILY_HEADER)}", symbol=symbol)
    try:
        return _iso_date(fields[0])
    except ValueError:
        raise MalformedResponse(f"line {number} begins with {_shown(fields[0])!r}, not a date", symbol=symbol) from None


def _shown(text: str) -> str:
    return text.strip().splitlines()[0][:_SHOWN] if text.strip() else ""
