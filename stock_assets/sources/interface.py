"""The interface of a source of daily prices.

Belongs here: what the pipeline needs from every source. Does not belong here: any vendor (`recorded`, `alpha_vantage`),
the format of raw responses (`raw_format`, `splits_json`), when to request (`ingest`), or counting calls
(`backends.interface.rate_limiter`).

A new vendor is one module with one `PriceSource`. Its responses must be in the CSV of `raw_format` (a vendor with
another format translates its responses first), and its failures must be the typed errors of `stock_assets.core.errors`.
`read_prices` and `read_splits` then check the stored body. A source without splits does not define `fetch_splits`: its
prices are staged as they are.

A CSV response does not name its symbol. `ingest.response_owner` compares its bars with stored ones if
`Terms.distinct_responses` is set; a splits response names its symbol.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import SettingsError
from stock_assets.core.vendor_facts import AvailableHistory, Split, SymbolMatch
from stock_assets.sources.raw_format import PriceRows, parse_prices
from stock_assets.sources.splits_json import parse_splits


@dataclass(frozen=True)
class Terms:
    """The terms of calls to a vendor.

    Attributes:
        limits: calls that the plan allows.
        attempts: most requests for one symbol in one run, if all failures are transient.
        first_pause_seconds: pause after a transient failure; it doubles with each further failure in a row.
        splits_refresh: age at which splits are requested again; None means in every run.
        distinct_responses: whether responses are compared with stored bars: equal bars of two symbols prove that one
            response is wrong, and a response that changes most stored bars needs a setting.
    """

    limits: CallLimits = field(default_factory=CallLimits)
    attempts: int = 1
    first_pause_seconds: float = 1.0
    splits_refresh: timedelta | None = None
    distinct_responses: bool = False


class PriceSource(ABC):
    """A vendor of daily bars and splits.

    Both fetch methods return the body of the response, byte for byte. The pipeline stores the body before reading it,
    so a body that turns out to be an error message is kept too.
    """

    @property
    @abstractmethod
    def label(self) -> str:
        """One line that describes the data; it is displayed with them."""

    @property
    def vendor(self) -> str:
        """Short name of the account: calls are counted under it, and the vendor's asset has this name."""
        return type(self).__name__.removesuffix("Source").lower()

    @property
    def terms(self) -> Terms:
        """The terms of calls to the vendor; by default calls are unlimited and not retried."""
        return Terms()

    def available_history(self, at: datetime) -> AvailableHistory | None:
        """Return how far back a response reaches at a timestamp, or None if there is no limit."""
        del at
        return None

    @property
    def first_session(self) -> date | None:
        """First session that this source can ever have, or None if it is not known."""
        return None

    @property
    def last_session(self) -> date | None:
        """Last session that this source can ever have, or None if it grows every day."""
        return None

    @abstractmethod
    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Request the daily bars of a symbol; the response may contain more sessions than requested.

        Args:
            symbol: ticker.
            sessions: requested sessions, in order, at least one.

        Raises:
            SourceError: there is no response, or none is possible. The error contains no secret.
        """

    @property
    def has_splits(self) -> bool:
        """Return whether the source has splits; a source without them does not define `fetch_splits`."""
        return type(self).fetch_splits is not PriceSource.fetch_splits

    def fetch_splits(self, symbol: str) -> bytes:
        """Request all splits of a symbol. It is not called if the source does not define it.

        Raises:
            SourceError: there is no response, or none is possible. The error contains no secret.
            SettingsError: the source has no splits.
        """
        raise SettingsError(f"The source ({self.label}) has no splits, so those of {symbol} cannot be requested.")

    def search_symbols(self, text: str) -> list[SymbolMatch]:
        """Search the vendor's symbols by ticker or name, best match first.

        Raises:
            SettingsError: the source has no search.
            SourceError: there is no response, or none is possible. The error contains no secret.
        """
        del text
        raise SettingsError(f"The source ({self.label}) has no search. Set STOCK_ASSETS_SOURCE=alpha_vantage.")

    @abstractmethod
    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Recognise an error message that the vendor sent instead of data.

        Raises:
            SourceError: the body is an error message.
        """

    def read_prices(self, body: bytes, symbol: str) -> PriceRows:
        """Return the rows of a price response.

        Raises:
            SourceError: the body is an error message, or its structure is wrong (see `raw_format`).
        """
        self.raise_error_message(body, symbol)
        return parse_prices(body, symbol)

    def read_splits(self, body: bytes, symbol: str) -> list[Split]:
        """Return the splits of a response, oldest first; by default it is in the JSON of `splits_json`.

        Raises:
            SourceError: the body is an error message, no list of splits, or belongs to another symbol.
        """
        self.raise_error_message(body, symbol)
        return parse_splits(body, symbol)
