"""The interface of a backend: objects, a fetch ledger, and SQL over staged and published tables.

Belongs here: the interfaces and the plain values they exchange. Does not belong here: anything that knows a folder, a
bucket or an engine; the interface of the rate limiter (`rate_limiter`). The tests in `stock_assets_tests/contracts` run
on every implementation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from stock_assets.backends.rate_limiter import RateLimiter
from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import Fragment, Name
from stock_assets.core.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

    from stock_assets.backends.ledger_table import LedgerTable


_T = TypeVar("_T")
_ONE_DAY = timedelta(days=1)

INGEST_DATE = "ingest_date="
"""Start of the names of the folders that have the raw responses of one day."""
STILL_WRITTEN = timedelta(days=1)
"""Time for which a folder of raw responses may still change after its last object was added."""


@dataclass(frozen=True)
class ObjectEntry:
    """One object of a listing.

    Attributes:
        key: key of the object.
        size: size in bytes.
        modified_at: when the object was written to this place, aware, UTC.
        problem: why it must not be read, such as a link that leaves the folder; empty for an object.
    """

    key: str
    size: int
    modified_at: datetime
    problem: str = ""


class Objects(ABC):
    """Immutable bytes under keys such as `raw/daily_prices/ingest_date=2012-03-01/...`."""

    @abstractmethod
    def put(self, key: str, body: bytes) -> None:
        """Store a new object, completely or not at all.

        Raises:
            ObjectExists: the key already has an object.
        """

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            KeyError: the key has no object.
        """

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix that ends with `/`, sorted."""

    @abstractmethod
    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """Return the objects below a prefix that ends with `/`, sorted by key, with size and time; not packed ones.

        Whatever else others put there is returned too, with its `problem`.

        Args:
            prefix: the folder.
            since: objects that were written earlier may be left out: those in folders `ingest_date=...` of earlier
                days, which grow with every session. None for all objects.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; do nothing if the key has no object."""

    def pack(self, keys: Iterable[str]) -> int:  # noqa: ARG002 (for backends that have packs)
        """Move raw responses into few compressed files, and return their number; `get` and `keys` still find them.

        Their bytes stay the same, also if the process is killed. Call this only for responses that the ledger knows:
        `entries` leaves packed objects out, and so do the landing files.
        """
        return 0

    def remove_partial_files(self, *, before: datetime) -> int:  # noqa: ARG002 (for backends that need it)
        """Remove partial files that killed writers left before a timestamp; return their number."""
        return 0

    @abstractmethod
    def uri(self, key: str) -> str:
        """Return the address by which the backend's SQL engine reads the object."""


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


@dataclass(frozen=True)
class Snapshot:
    """One committed snapshot of a published table.

    Attributes:
        snapshot_id: Iceberg's id.
        committed_at: aware, UTC.
        rows: number of rows of the whole table.
        properties: properties that the publishing load recorded.
        is_current: whether consumers read this snapshot now.
    """

    snapshot_id: int
    committed_at: datetime
    rows: int
    properties: Mapping[str, str]
    is_current: bool

    @property
    def is_maintenance(self) -> bool:
        """Return whether maintenance committed the snapshot: it has the rows of the previous one, in other files."""
        return MAINTENANCE in self.properties


MAINTENANCE = "maintenance"
"""Property of a snapshot that `Warehouse.maintain` committed; its value is the operation, such as `compaction`."""
PURGED = "purged"
"""Property of a snapshot that `maintenance.purge` committed; its value is the symbol."""


@dataclass(frozen=True)
class MaintenanceResult:
    """The effect of maintenance on one published table.

    Attributes:
        files_before: number of data files of the current snapshot before maintenance.
        files_after: number of data files of the current snapshot now; smaller if small files were compacted.
        snapshots_expired: number of snapshots to which the table can no longer be rolled back.
        files_removed: number of removed data and metadata files that no snapshot needed.
        bytes_freed: total size of the removed files.
        skipped_because: why maintenance did nothing; empty if it was not skipped.
    """

    files_before: int = 0
    files_after: int = 0
    snapshots_expired: int = 0
    files_removed: int = 0
    bytes_freed: int = 0
    skipped_because: str = ""

    @property
    def changed(self) -> bool:
        """Return whether maintenance changed anything."""
        return self.files_after != self.files_before or bool(self.snapshots_expired or self.files_removed)


@dataclass(frozen=True)
class Commit:
    """The effect of publishing one table; `added` and `removed` are rows, and a changed row counts in both."""

    snapshot_id: int | None
    added: int
    removed: int

    @property
    def changed(self) -> bool:
        """Return whether a new snapshot was committed."""
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class StatementRun:
    """One statement that was sent to a remote engine.

    Attributes:
        query_id: the engine's id.
        statement: first word of the statement.
        state: final state.
        seconds: seconds from sending the statement to its end.
        queued_seconds: part of `seconds` before the statement started.
        scanned_bytes: bytes that the statement read.
        cost: estimate in USD; None for an engine without a price per statement.
        link: address of the statement in the engine's UI.
    """

    query_id: str
    statement: str
    state: str
    seconds: float
    queued_seconds: float
    scanned_bytes: int
    cost: float | None
    link: str


@dataclass(frozen=True)
class Digests:
    """Digests of everything that the statements of one connection can read, raw responses apart.

    Attributes:
        staging: of the files of the load's staging tables.
        inputs: of the registered tables, and of the snapshots of the published tables.
    """

    staging: str
    inputs: str


class Part(StrEnum):
    """A part of a backend in which files can be damaged."""

    LAYOUT = "layout"
    """The file that records the layout version."""
    LEDGER = "ledger"
    CALLS = "calls"
    """The calls to vendors that are counted."""
    CATALOG = "catalog"
    """The record of the current metadata file of each published table."""
    TABLE = "table"
    """A file of a published table."""
    PACK = "pack"


@dataclass(frozen=True)
class Damage:
    """A file of a backend that is missing or damaged; raw responses apart (`maintenance.verify` reads them).

    Attributes:
        part: what the file belongs to.
        file: path or address of the file.
        why: what is wrong with it.
        table: the published table that needs the file.
        snapshots: snapshots of the table that need the file; empty if all of them do.
        is_current: whether consumers need the file now.
    """

    part: Part
    file: str
    why: str
    table: Table | None = None
    snapshots: tuple[int, ...] = ()
    is_current: bool = True


class SqlConnection(ABC):
    """One step's connection: SQL over one load's staging tables, and one snapshot of each published table.

    Published tables are read as they were when the connection was opened, and `replace_range` commits only if the table
    has not changed since.
    """

    @abstractmethod
    def name(self, table: Table) -> Name:
        """Return the SQL name of a staging table of this load, or of a published table."""

    @abstractmethod
    def actual_columns(self) -> Name:
        """Return the relation (table_name, column_name, data_type) of the columns that are stored for this load."""

    @abstractmethod
    def register(self, relation: str, rows: "pa.Table") -> Name:
        """Register a small table under a name, for this connection only."""

    @abstractmethod
    def register_responses(self, responses: Sequence[Fetch], *, first: date, last: date) -> Name:
        """Register the price responses of this load as one relation, with their address in `"$path"`.

        Its columns are those of `sql/stage/raw_rows.sql`, which says when a backend may leave texts out.
        Rows of days outside the range may be left out, unless they have no readable date, are dated after their
        request, or lie before `core.calendar.CALENDAR_START`.

        Args:
            responses: entries of the ledger.
            first: first day of the range.
            last: last day of the range.

        Raises:
            DamagedResponses: a response is missing, or differs from its checksum. Only the local backend checks that.
        """

    def divide(self, symbols: Iterable[str], rows_per_symbol: int) -> None:  # noqa: B027 (for backends with chunks)
        """Divide the symbols of the load into chunks, if their rows do not fit into memory; call this first.

        An engine that limits its memory itself has one chunk of all symbols.

        Args:
            symbols: the symbols that are known; a chunk is a range of symbols and has also the unknown ones.
            rows_per_symbol: the most rows that a symbol has in a relation.
        """

    @property
    def is_divided(self) -> bool:
        """Return whether the load has several chunks of symbols."""
        return False

    def each_chunk(self, step: Callable[[], _T]) -> list[_T]:
        """Run a step once for each chunk of symbols, and return its results, in order of symbols.

        During the step, every relation with a column `symbol` has the rows of the chunk only, and so have the raw
        rows. What the step stages is added to the rows of the chunks before.
        """
        return [step()]

    def materialize(self, relation: str, select: str) -> Fragment:  # noqa: ARG002 (for backends that run it now)
        """Return a SELECT of the rows of a SELECT, which is run once if statements are free; the rows are few."""
        return Fragment(select)

    @abstractmethod
    def create_view(self, name: str, select: str) -> Name:
        """Create the view `published.<name>` of a SELECT in the Athena dialect."""

    def store_views(self) -> bool:
        """Store the published tables and the views created so far for other tools, if no catalog contains them.

        Return False if a table has changed since the connection was opened. Then call it again on a new connection.
        """
        return True

    @abstractmethod
    def restrict(self) -> None:
        """Allow only reads of the published tables and of the views created so far, until the connection is closed.

        Call this before a SELECT that a user wrote: the SELECT must not read files of this machine.
        """

    @abstractmethod
    def query(self, select: str) -> "pa.Table":
        """Run a SELECT in the Athena dialect.

        Raises:
            InvalidQuery: the text is not a single SELECT.
            QueryFailed: the engine rejected the SELECT.
        """

    @abstractmethod
    def stage(self, table: Table, select: str) -> int:
        """Create or replace a staging table of this load from a SELECT; return its number of rows."""

    @abstractmethod
    def digests(self) -> Digests:
        """Return digests of what statements can read now; equal digests mean equal rows."""

    @abstractmethod
    def base(self, table: Table) -> int | None:
        """Return the id of the snapshot of a published table that this connection reads, or None if it has none."""

    def may_have_rows(self, table: Table, first: date, last: date) -> bool:  # noqa: ARG002 (for backends with statistics)
        """Return whether a published table may have rows in a range of days; False is certain."""
        return self.base(table) is not None

    @abstractmethod
    def replace_range(
        self, target: Table, source: Table | Fragment, *, first: date, last: date, properties: Mapping[str, str]
    ) -> int:
        """Replace the rows of `[first, last]` of a published table in one commit.

        Args:
            target: a published table.
            source: the new rows: a staging table, or a SELECT in parentheses.
            first: first day of the range.
            last: last day of the range.
            properties: recorded with the snapshot.

        Returns:
            the id of the new snapshot.

        Raises:
            ConcurrentPublish: another writer changed the table after this connection was opened.
        """


AsOf = datetime | Mapping[str, int]
"""What is read instead of the current snapshots: those of a timestamp (aware), or snapshot ids by full table names."""


class Warehouse(ABC):
    """The tables of a backend."""

    @abstractmethod
    def connect(self, load_id: str = "") -> AbstractContextManager[SqlConnection]:
        """Connect to the current snapshot of the published tables and to the staging tables of a load.

        Tables and columns that do not exist yet may be created.
        """

    @abstractmethod
    def connect_to_read(self, as_of: AsOf | None = None) -> AbstractContextManager[SqlConnection]:
        """Connect to published tables without creating anything; `create_view` lasts as long as the connection.

        A table that does not exist, or had no snapshot at a timestamp, is empty; columns that it lacks are NULL.

        Args:
            as_of: the snapshots to read; None for the current ones.

        Raises:
            UnknownSnapshot: a table does not have the snapshot.
            SnapshotExpired: maintenance has expired the snapshot.
        """

    @property
    def views_name_snapshots(self) -> bool:
        """Whether stored views read the snapshots that were current when they were stored, and no newer ones."""
        return False

    @abstractmethod
    def history(self, table: Table) -> list[Snapshot]:
        """Return the snapshots of a published table, newest first."""

    def is_rolled_back(self, table: Table) -> bool:
        """Return whether consumers read an earlier snapshot of a published table than the newest one."""
        snapshots = self.history(table)
        return bool(snapshots) and not snapshots[0].is_current

    @abstractmethod
    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Roll a published table back to an earlier snapshot, or forward to a later one.

        Raises:
            UnknownSnapshot: the table has never had the snapshot, or the snapshot has expired; the message states
                whether snapshots have expired.
        """

    @abstractmethod
    def maintain(self, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
        """Compact small files, expire old snapshots, and remove files that no snapshot needs.

        The rows stay bit-identical. Every snapshot committed at or after `keep_since`, and the current snapshot, stay:
        each can be read and rolled back to. Where possible, several files of one partition become one file, in a
        separate snapshot for which `Snapshot.is_maintenance` is True; a load staged before that snapshot has to be
        staged again. A file is removed when no remaining snapshot needs it and it is so old, as of `at`, that no
        running publish can be about to commit it and no running query can be reading it. Publishing at the same time
        loses nothing. After a kill at any time, the next maintenance does the rest. A second maintenance right after
        the first changes nothing.

        A table that was rolled back to an earlier snapshot is skipped: any commit or removal there would hide the
        rollback, or remove the later snapshots.

        Args:
            table: a published table.
            keep_since: snapshots committed since this timestamp stay.
            at: now, aware, UTC; ages of files are measured from here.
        """

    @abstractmethod
    def location(self, table: Table) -> str:
        """Return the address of a published table, for people."""

    @abstractmethod
    def drop_staging(self, load_id: str) -> None:
        """Remove the staging tables of a load; do nothing if it has none."""

    @abstractmethod
    def staged_loads(self) -> list[str]:
        """Return the ids of the loads that have staging tables, sorted."""


class Backend(ABC):
    """The storage of the data, and the engine that runs SQL.

    The first access to a part checks the layout version of the data folder, and the first write records it
    (`backends.layout`); data of another layout raise `UnsupportedLayout` and are neither read nor changed.
    """

    @property
    @abstractmethod
    def objects(self) -> Objects:
        """Raw responses and records of loads."""

    @property
    @abstractmethod
    def ledger(self) -> FetchLedger:
        """The requests that were sent to the source."""

    @property
    @abstractmethod
    def rate_limiter(self) -> RateLimiter:
        """The calls to each vendor."""

    @property
    @abstractmethod
    def warehouse(self) -> Warehouse:
        """Staging tables and published tables."""

    @abstractmethod
    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Find files that are missing or damaged; nothing is changed.

        Args:
            deep: compare contents too, not only existence, size and structure.
        """

    def publishing(self) -> AbstractContextManager[None]:
        """Exclude other publishes of the same backend while the context is open, where the backend can.

        It saves work: publishes that overlap are also right, since each commit compares the table with the snapshot
        that its load was staged on. Athena and Trino rely on this comparison, because their catalog has no lock that a
        killed process releases.

        Raises:
            ConcurrentPublish: another process did not end its publish.
        """
        return nullcontext()

    def take_statement_log(self) -> "StatementLog | None":
        """Return the statements that were sent since the last call, or None if SQL runs in this process."""
        return None


@dataclass(frozen=True)
class StatementLog:
    """Statements that were sent to an engine.

    Attributes:
        engine: name of the engine.
        new: statements since the log was taken last.
        total: all statements of this process.
    """

    engine: str
    new: tuple[StatementRun, ...]
    total: tuple[StatementRun, ...]
