"""The types of all errors that this package raises on purpose.

Belongs here: the classes, what their messages must name (table, partition, remedy), and whether a retry can help. Does
not belong here: the reaction to an error (`ingest.requester`, `publish.publishing`).
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from typing import ClassVar

from stock_assets.core.text import plural, shorten_lines

_DAMAGED_SHOWN = 3


class StockAssetsError(Exception):
    """Base class of all errors raised on purpose. `transient`: the same call may succeed later."""

    transient: ClassVar[bool] = False


class SettingsError(StockAssetsError):
    """A setting, or a combination of settings, is invalid; the message says what to set."""


class NoData(StockAssetsError):
    """There is no data folder, or no published bar of a symbol; the message names what is missing and what to do."""


class MissingLibrary(StockAssetsError):
    """An optional library is not installed; the message says how to install it."""


class DeploymentFailed(StockAssetsError):
    """A stack or a step of the deployment on AWS failed; the message has the reason and what to do."""


class SqlTemplateError(StockAssetsError):
    """A file under `sql/` and the values bound to it do not match."""


class Outcome(StrEnum):
    """The result of one request to a price source, as the fetch ledger and the checks show it."""

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
    REVISED = "revised"
    UNREACHABLE = "unreachable"
    UNRECOGNISED = "unrecognised"
    NOT_LISTED = "not_listed"
    NOT_RECORDED = "not_recorded"
    CLOSED_DAY = "closed_day"


class SourceError(StockAssetsError):
    """A price source did not return the requested bars.

    Attributes:
        outcome: result for the ledger and the checks.
        symbol: ticker of the request.
        body: body of the vendor's error response, without secrets, so that it can be stored; empty if there is none.
        retry_after: seconds that the vendor requests to wait before the next request, or None.
        concerns_all: whether every other request would fail for the same reason, so that none is sent.
    """

    outcome: ClassVar[Outcome]
    concerns_all: ClassVar[bool] = False

    def __init__(self, message: str, *, symbol: str, body: bytes = b"", retry_after: float | None = None) -> None:
        super().__init__(f"{symbol}: {message}")
        self.symbol = symbol
        self.body = body
        self.retry_after = retry_after


class Throttled(SourceError):
    """The vendor rejects a request because requests are too frequent."""

    outcome = Outcome.THROTTLED
    transient = True


class DailyQuotaExhausted(SourceError):
    """The plan's calls for the day are used up; no request can succeed before the next quota day."""

    outcome = Outcome.DAILY_QUOTA


class NotEntitled(SourceError):
    """The plan does not include this request."""

    outcome = Outcome.NOT_ENTITLED


class BadKey(SourceError):
    """The API key is missing or not accepted, or the vendor or a proxy denies access."""

    outcome = Outcome.BAD_KEY
    concerns_all = True


class UnknownSymbol(SourceError):
    """The vendor does not know the symbol, or rejects the request as invalid."""

    outcome = Outcome.UNKNOWN_SYMBOL


class EmptyResponse(SourceError):
    """The response contains no data."""

    outcome = Outcome.EMPTY


class MalformedResponse(SourceError):
    """The body does not have the format of the interface; it is stored, and none of its rows is used."""

    outcome = Outcome.MALFORMED


class WrongSymbol(MalformedResponse):
    """The bars of the response are those of another symbol; a repeated request may return the right ones."""

    transient = True


class RevisedHistory(SourceError):
    """Most bars of the response differ from the stored ones; using it needs an explicit setting."""

    outcome = Outcome.REVISED


class SourceUnreachable(SourceError):
    """No usable HTTP response arrived."""

    outcome = Outcome.UNREACHABLE
    transient = True


class UnrecognisedResponse(SourceError):
    """The vendor sent a message that this client does not know; the error shows its text."""

    outcome = Outcome.UNRECOGNISED


class Redirected(UnrecognisedResponse):
    """The vendor, or a proxy, redirects to another address; redirects are not followed."""

    concerns_all = True


class SessionError(SourceError):
    """The request includes a session for which this source can never have a bar of the symbol."""

    def __init__(self, message: str, *, symbol: str, session: date) -> None:
        super().__init__(message, symbol=symbol)
        self.session = session


class NotListed(SessionError):
    """The session is before the symbol's first session."""

    outcome = Outcome.NOT_LISTED


class NotRecorded(SessionError):
    """The session is outside the recording."""

    outcome = Outcome.NOT_RECORDED


class NotATradingSession(SessionError):
    """The exchange was closed on that day."""

    outcome = Outcome.CLOSED_DAY


class SessionNotClosed(StockAssetsError):
    """A session was requested before its market close."""

    transient = True


class SessionOutOfRange(StockAssetsError):
    """A requested session has no partition in the pipeline."""


class InvalidAcknowledgement(StockAssetsError):
    """An acknowledgement names no warning, no ticker or no reason, or does not exist."""


class NothingFetched(StockAssetsError):
    """No symbol of the universe has a bar for any requested session."""


class AlreadyRunning(StockAssetsError):
    """Another process does what only one may do."""


class ObjectExists(StockAssetsError):
    """The key of a new object exists already; stored objects are immutable."""


class DamagedResponses(StockAssetsError):
    """Stored responses are missing, or differ from the checksums in the ledger; `damage` has the reason for each key.

    The message names the responses; where a load is known, `loads.damaged_responses` adds consequence and remedy.
    """

    def __init__(self, damage: Mapping[str, str], message: str = "") -> None:
        lines = [f"The stored response {key} is damaged: {why}" for key, why in damage.items()]
        super().__init__(message or "; ".join(shorten_lines(lines, _DAMAGED_SHOWN)))
        self.damage = damage


class DiskFull(StockAssetsError):
    """No space is left on the disk of the data folder; the message names the folder."""


class DamagedFiles(StockAssetsError):
    """Files of the data folder are missing or damaged; the message names file, consequence and command for each."""

    def __init__(self, descriptions: Iterable[str]) -> None:
        self.descriptions = tuple(descriptions)
        more = len(self.descriptions) - _DAMAGED_SHOWN
        lines = [*self.descriptions[:_DAMAGED_SHOWN], *([f"and {plural(more, 'more file')}"] if more > 0 else [])]
        super().__init__("\n".join(lines))


class LegacyDataUnusable(StockAssetsError):
    """The location of an earlier pipeline's data cannot be read; the message names it and the remedy."""


class PriceFileUnreadable(StockAssetsError):
    """A landing file or a file to import cannot be read; the message names the cause and the remedy, not the file."""


class NothingStaged(StockAssetsError):
    """There is no staged load of the sessions that should be audited or published."""


class LoadRejected(StockAssetsError):
    """A blocking audit found bad rows in a load, or every session is excluded, so the load is not published."""


class StagedRowsChanged(LoadRejected):
    """The staging tables of a load have changed since they were audited, so the load is not published."""


class StagingOutdated(StockAssetsError):
    """Limits, universe or staging tables have changed so much since staging that the load has other sessions now."""

    transient = True


class ConcurrentPublish(StockAssetsError):
    """Other writers changed the table during every attempt to commit."""

    transient = True


class UnknownSnapshot(StockAssetsError):
    """The table has no snapshot with this id, or had none at this timestamp."""


class SnapshotExpired(UnknownSnapshot):
    """Maintenance has expired snapshots, and the table no longer has the requested one."""


class QueryFailed(StockAssetsError):
    """The SQL engine rejected a statement; the message contains the engine's reason."""


class InvalidQuery(QueryFailed):
    """The text of a query is not a single SELECT, so it was not sent to the SQL engine."""


class QueryCancelled(QueryFailed):
    """A user cancelled a running statement."""


class QueryTimedOut(QueryFailed):
    """A statement exceeded its time limit and was stopped."""

    transient = True


class ScanLimitExceeded(QueryFailed):
    """A statement exceeded the limit of bytes to read and was stopped."""


class EngineBusy(QueryFailed):
    """The SQL engine had no capacity, or an internal error, in every attempt."""

    transient = True


class TableDrift(StockAssetsError):
    """A stored table differs from its contract; the message names the column and the remedy."""


class TableOutsideDataFolder(StockAssetsError):
    """The catalog of a copied or moved data folder names files elsewhere; the message names both and the remedy."""


class UnsupportedLayout(StockAssetsError):
    """A data folder has another layout version; the message names the folder and what to do."""


class AccessRefused(StockAssetsError):
    """A cloud service rejects the credentials, or they do not permit the call."""


class ServiceUnavailable(StockAssetsError):
    """A cloud service throttled the call, or did not respond, in every attempt."""

    transient = True


class ServiceRefused(StockAssetsError):
    """A cloud service rejected a call with an error that a retry cannot change."""


class IncidentUnreadable(StockAssetsError):
    """The stored object of an open incident cannot be parsed; the message names the object."""


class AlertUndelivered(StockAssetsError):
    """A message did not reach its channel; it is sent again later."""

    transient = True


class FunctionUnverified(StockAssetsError):
    """The report of the Lambda function is missing, or contradicts what is stored."""
