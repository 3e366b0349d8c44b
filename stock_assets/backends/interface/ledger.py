"""The interface of the ledger of requests.

Belongs here: a request as the ledger records it, and the interface. Does not belong here: queries that are the same on
every backend (`backends.ledger_table`, `ingest.ledger_queries`), the bytes of the responses (`objects`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome

if TYPE_CHECKING:
    from stock_assets.backends.ledger_table import LedgerTable

_ONE_DAY = timedelta(days=1)


class FetchKind(StrEnum):
    """Kind of a request to the source."""

    PRICES = "daily_prices"
    SPLITS = "splits"
    LANDING_FILES = "landing_files"
    """No request: a landing file that is not the response for one symbol."""
    RENAMES = "renames"
    """No request: the symbol has left the universe, and the response of a new symbol has its bars."""
    PURGES = "purges"
    """No request: the history of the symbol was purged. Its earlier prices and splits stay stored and do not count."""


class Fetch(NamedTuple):
    """One request to a source and its outcome. A response contains no session after the day of its request.

    A tuple, because a load constructs some for each symbol, and a frozen dataclass takes three times as long.

    Attributes:
        symbol: requested ticker.
        kind: kind of the request.
        fetched_at: when the response was received, aware, UTC.
        outcome: how the request ended.
        response_key: key of the raw response, or empty if no response was received.
        first_session: earliest session in the response.
        last_session: latest session in the response.
        missing_sessions: sessions between the two without a bar in the response, in order.
        content_hash: SHA-256 of the body, hexadecimal; of a landing file's response, the digest in its key.
        calls: number of calls that the request used.
        detail: one line for people; never contains a secret.
    """

    symbol: str
    kind: FetchKind
    fetched_at: datetime
    outcome: Outcome
    response_key: str = ""
    first_session: date | None = None
    last_session: date | None = None
    missing_sessions: tuple[date, ...] = ()
    content_hash: str = ""
    calls: int = 0
    detail: str = ""

    @property
    def is_landing_file(self) -> bool:
        """Return whether the response is a landing file; it does not prove that the vendor has no other bars."""
        return self.outcome is Outcome.OK and self.calls == 0

    def is_response(self, body: bytes) -> bool:
        """Return whether a body has the checksum of the response."""
        return content_hash(body) == self.content_hash

    @property
    def open_sessions(self) -> tuple[date, ...]:
        """Return the sessions at the end that are missing because they had not closed when the response arrived.

        There are some if the clock was set back, and `fetched_at` is later than the clock showed, so that the response
        counts as the newest one. What earlier responses say about these sessions is not true.
        """
        if self.first_session is None or self.last_session is None or self.last_session not in self.missing_sessions:
            return ()
        absent = set(self.missing_sessions)
        newest_first = reversed(sessions_between(self.first_session, self.last_session))
        return tuple(takewhile(absent.__contains__, newest_first))[::-1]

    @property
    def last_day(self) -> date:
        """Return the last day whose rows count: in New York, the day on which the response arrived."""
        opened = self.open_sessions
        return opened[0] - _ONE_DAY if opened else self.fetched_at.astimezone(NEW_YORK).date()

    def holds(self, session: date) -> bool:
        """Return whether the response has a bar of a session."""
        return (
            self.first_session is not None
            and self.last_session is not None
            and self.first_session <= session <= self.last_session
            and session not in self.missing_sessions
        )


class FetchLedger(ABC):
    """All requests, including requests that could not be sent (they used no call)."""

    @abstractmethod
    def record(self, *fetches: Fetch) -> None:
        """Add requests durably; those of one kind all or none."""

    @abstractmethod
    def read(self) -> AbstractContextManager["LedgerTable"]:
        """Open the ledger for some queries; on S3, new entries are read once, when the block begins."""

    def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that are the response key of a request of any kind."""
        with self.read() as ledger:
            return ledger.known_keys(keys)

    def fetches(
        self,
        kind: FetchKind,
        *,
        symbol: str | None = None,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        purged: bool = False,
    ) -> list[Fetch]:
        """Return the requests of a kind, newest first.

        Every request of the kind is read, unless a symbol is given, or `since` together with the outcome MALFORMED.

        Args:
            kind: kind of the requests.
            symbol: ticker; None for all.
            outcome: how the requests ended; None for any outcome.
            since: requests that were received earlier are left out.
            purged: also those before a purge of their symbol; only checks of stored files need them.
        """
        with self.read() as ledger:
            return ledger.fetches(kind, symbol=symbol, outcome=outcome, since=since, purged=purged)
