"""Every failure this package raises on purpose, as types.

Belongs here: the classes, what their messages must name (table, partition, remedy), and whether trying again
can help. Does not belong here: deciding what to do about one (`ingest.fetch`, `publish.publishing`).
"""

from datetime import date
from enum import StrEnum
from typing import ClassVar


class StockAssetsError(Exception):
    """Root of all errors raised on purpose. `transient` says whether the same call may succeed later."""

    transient: ClassVar[bool] = False


class SettingsError(StockAssetsError):
    """A setting, or a combination of settings, is unusable; the message says what to set."""


class SqlTemplateError(StockAssetsError):
    """A file under `sql/` and the values bound to it do not fit each other."""


class Outcome(StrEnum):
    """How one request to a price source ended, as the fetch ledger and the checks show it."""

    OK = "ok"
    LATE = "late"
    UNOBTAINABLE = "unobtainable"
    THROTTLED = "throttled"
    DAILY_QUOTA = "daily_quota"
    NOT_ENTITLED = "not_entitled"
    BAD_KEY = "bad_key"
    UNKNOWN_SYMBOL = "unknown_symbol"
    EMPTY = "empty"
    MALFORMED = "malformed"
    UNREACHABLE = "unreachable"
    UNRECOGNISED = "unrecognised"
    NOT_LISTED = "not_listed"
    NOT_RECORDED = "not_recorded"
    CLOSED_DAY = "closed_day"


class SourceError(StockAssetsError):
    """A price source did not give the bars asked for.

    Attributes:
        outcome: what the ledger and the checks record.
        symbol: ticker the request was for.
        body: what the vendor sent with a refusal, free of secrets, so that it can be kept; empty if nothing.
        retry_after: seconds the vendor asks to wait before the next request, or None.
    """

    outcome: ClassVar[Outcome]

    def __init__(self, message: str, *, symbol: str, body: bytes = b"", retry_after: float | None = None) -> None:
        super().__init__(f"{symbol}: {message}")
        self.symbol = symbol
        self.body = body
        self.retry_after = retry_after


class Throttled(SourceError):
    """The vendor asks for a slower pace."""

    outcome = Outcome.THROTTLED
    transient = True


class DailyQuotaSpent(SourceError):
    """The plan's calls for the day are used up; nothing more can be had before the next day."""

    outcome = Outcome.DAILY_QUOTA


class NotEntitled(SourceError):
    """The plan does not include this request."""

    outcome = Outcome.NOT_ENTITLED


class BadKey(SourceError):
    """The API key is missing or refused."""

    outcome = Outcome.BAD_KEY


class UnknownSymbol(SourceError):
    """The vendor does not know the symbol, or refuses the request as invalid."""

    outcome = Outcome.UNKNOWN_SYMBOL


class EmptyResponse(SourceError):
    """The vendor answered without any data."""

    outcome = Outcome.EMPTY


class MalformedResponse(SourceError):
    """The body is not what the interface promises; it is kept, and no row of it is used."""

    outcome = Outcome.MALFORMED


class SourceUnreachable(SourceError):
    """No usable HTTP answer arrived."""

    outcome = Outcome.UNREACHABLE
    transient = True


class UnrecognisedResponse(SourceError):
    """The vendor said something this client has never seen; the message shows the text."""

    outcome = Outcome.UNRECOGNISED


class SessionError(SourceError):
    """The request names a session for which this source can never have a bar of this symbol."""

    def __init__(self, message: str, *, symbol: str, session: date) -> None:
        super().__init__(message, symbol=symbol)
        self.session = session


class NotListed(SessionError):
    """The session is before the symbol's first one."""

    outcome = Outcome.NOT_LISTED


class NotRecorded(SessionError):
    """The session is outside what was recorded."""

    outcome = Outcome.NOT_RECORDED


class NotATradingSession(SessionError):
    """The exchange was closed on that day."""

    outcome = Outcome.CLOSED_DAY


class SessionNotClosed(StockAssetsError):
    """A session was requested before its closing bell."""

    transient = True


class SessionOutOfRange(StockAssetsError):
    """A session was requested that the pipeline has no partition for."""


class NothingFetched(StockAssetsError):
    """No symbol of the universe could be had for any requested session."""


class ObjectExists(StockAssetsError):
    """A stored object would be overwritten; stored objects are immutable."""


class LegacyDataUnusable(StockAssetsError):
    """What an earlier pipeline left cannot be read as named; the message names the file or table and what to do."""


class NothingStaged(StockAssetsError):
    """There is no staged load for the sessions to be audited or published."""


class LoadRejected(StockAssetsError):
    """Publishing was refused because a blocking audit found bad rows in what would be committed."""


class ConcurrentPublish(StockAssetsError):
    """Other writers kept changing the table while this load tried to commit."""

    transient = True


class UnknownSnapshot(StockAssetsError):
    """A rollback names a snapshot the table does not have."""


class QueryFailed(StockAssetsError):
    """The SQL engine refused a statement; the message carries the engine's reason."""


class InvalidQuery(QueryFailed):
    """The text of a query is not a single SELECT, so it was not sent to the SQL engine."""


class QueryCancelled(QueryFailed):
    """Somebody stopped a statement while it ran."""


class QueryTimedOut(QueryFailed):
    """A statement took longer than it may, and was stopped."""

    transient = True


class ScanLimitExceeded(QueryFailed):
    """A statement would have read more bytes than it may, and was stopped."""


class EngineBusy(QueryFailed):
    """The SQL engine had no capacity, or failed inside, in every try."""

    transient = True


class TableDrift(StockAssetsError):
    """A stored table is not what its contract declares; the message names the column and what to do."""


class TableOutsideDataFolder(StockAssetsError):
    """The catalog of a copied or moved data folder names files elsewhere; the message names both and the remedy."""


class UnsupportedLayout(StockAssetsError):
    """A data folder has another layout version; the message names the folder and what to do."""


class AccessRefused(StockAssetsError):
    """A cloud service does not accept the credentials, or they do not allow the call."""


class ServiceUnavailable(StockAssetsError):
    """A cloud service asked to slow down, or did not answer, in every try."""

    transient = True


class ServiceRefused(StockAssetsError):
    """A cloud service refused a call for good."""


class IncidentUnreadable(StockAssetsError):
    """The stored note of an open incident cannot be parsed; the message names the object."""


class AlertUndelivered(StockAssetsError):
    """A message did not reach its channel; it stays open and is sent again."""

    transient = True
