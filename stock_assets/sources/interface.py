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

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from stock_assets.core.call_limits import CallLimits
from stock_assets.sources.raw_format import parse_prices


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


class PriceSource(ABC):
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

    @abstractmethod
    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Read the splits of a response, oldest first.

        Raises:
            SourceError: the body is no list of splits, or belongs to another symbol.
        """
