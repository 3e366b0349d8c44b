"""What a backend offers: objects, a fetch ledger, and SQL over staged and published tables (the call budget: `budget`).

Belongs here: the interfaces and the plain values they exchange. Does not belong here: anything that knows a
folder, a bucket or an engine. The contract suite in `stock_assets_tests/contracts` runs on every implementation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import pyarrow as pa

from stock_assets.backends.rate_limiter import RateLimiter
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import Name
from stock_assets.core.tables import Table


@dataclass(frozen=True)
class ObjectEntry:
    """What a listing tells of an object.

    Attributes:
        key: its key.
        size: bytes.
        modified_at: when its bytes came to lie there, aware, UTC.
    """

    key: str
    size: int
    modified_at: datetime


class Objects(ABC):
    """Immutable bytes under keys such as `raw/daily_prices/ingest_date=2012-03-01/...`."""

    @abstractmethod
    def put(self, key: str, body: bytes) -> None:
        """Store a new object, all of it or nothing.

        Raises:
            ObjectExists: there already is one under this key.
        """

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Read an object.

        Raises:
            KeyError: there is none under this key.
        """

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """List the keys below a prefix that ends with `/`, sorted."""

    @abstractmethod
    def entries(self, prefix: str) -> Sequence[ObjectEntry]:
        """List the objects below a prefix that ends with `/`, sorted by key, with size and time."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""

    def sweep(self, *, before: datetime) -> int:  # noqa: ARG002 (for backends that need it)
        """Remove what killed writers have left half-written since before a moment; give how many."""
        return 0

    @abstractmethod
    def uri(self, key: str) -> str:
        """Give the address under which the backend's SQL engine knows the object."""


class FetchKind(StrEnum):
    """What was asked of the source."""

    PRICES = "daily_prices"
    SPLITS = "splits"
    LANDING_FILES = "landing_files"
    """Nothing was asked: a file that others brought, and that is no answer of one symbol."""


@dataclass(frozen=True)
class Fetch:
    """One request to a source and how it ended.

    Attributes:
        symbol: ticker asked for.
        kind: what was asked.
        fetched_at: when the answer arrived, aware, UTC.
        outcome: how it ended.
        response_key: key of the stored answer, or empty if none arrived.
        first_session: earliest session in the answer.
        last_session: latest session in the answer.
        missing_sessions: sessions between the two that the answer lacks.
        content_hash: SHA-256 of the body, hexadecimal.
        calls: calls charged for it.
        detail: one line for people; never holds a secret.
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
        """Whether the answer is a file that others brought: it says nothing of what the vendor does not have."""
        return self.outcome is Outcome.OK and self.calls == 0

    def holds(self, session: date) -> bool:
        """Tell whether the answer has a bar of that session."""
        return (
            self.first_session is not None
            and self.last_session is not None
            and self.first_session <= session <= self.last_session
            and session not in self.missing_sessions
        )


class FetchLedger(ABC):
    """Every request ever made, and every one that could not be made (with no call charged), newest first."""

    @abstractmethod
    def record(self, fetch: Fetch) -> None:
        """Add one request; it survives the process from then on."""

    @abstractmethod
    def fetches(self, kind: FetchKind, *, symbol: str | None = None, outcome: Outcome | None = None) -> list[Fetch]:
        """List requests, newest first, of one symbol or of all, with one outcome or with any."""


@dataclass(frozen=True)
class Snapshot:
    """One committed version of a published table.

    Attributes:
        snapshot_id: Iceberg's id.
        committed_at: aware, UTC.
        rows: rows in the whole table.
        properties: what the publishing load wrote about itself.
        is_current: readers see this version now.
    """

    snapshot_id: int
    committed_at: datetime
    rows: int
    properties: Mapping[str, str]
    is_current: bool

    @property
    def is_maintenance(self) -> bool:
        """Whether it only laid out the rows of the version before in other files."""
        return MAINTENANCE in self.properties


MAINTENANCE = "maintenance"
"""Property of a version that `Warehouse.maintain` has made; its value says what was done, such as `compaction`."""


@dataclass(frozen=True)
class MaintenanceResult:
    """What maintenance did to one published table.

    Attributes:
        files_before: data files of the version that readers saw.
        files_after: data files of the one they see now; fewer if small files were compacted.
        snapshots_expired: versions that can be gone back to no more.
        files_removed: files that no version needs any more, of data and metadata.
        bytes_freed: their size.
        skipped_because: why nothing was done; empty where maintenance was free to act.
    """

    files_before: int = 0
    files_after: int = 0
    snapshots_expired: int = 0
    files_removed: int = 0
    bytes_freed: int = 0
    skipped_because: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was done at all."""
        return self.files_after != self.files_before or bool(self.snapshots_expired or self.files_removed)


@dataclass(frozen=True)
class Commit:
    """What publishing one table did; `added` and `removed` are rows, a changed row counts in both."""

    snapshot_id: int | None
    added: int
    removed: int

    @property
    def changed(self) -> bool:
        """Whether a new snapshot was committed."""
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class StatementRun:
    """One statement that was sent to an engine elsewhere.

    Attributes:
        query_id: the engine's id.
        statement: its first word.
        state: how it ended.
        seconds: from being sent to its end.
        queued_seconds: of them, those before it began.
        scanned_bytes: what it read.
        cost: estimated, in USD; None where nobody charges for it.
        link: where a person can look at it.
    """

    query_id: str
    statement: str
    state: str
    seconds: float
    queued_seconds: float
    scanned_bytes: int
    cost: float | None
    link: str


class SqlSession(ABC):
    """One step's connection: SQL over one load's staging tables, and one version of the published tables.

    All published tables are read as they were when the session was opened, and `replace_range` commits only if
    they still are.
    """

    @abstractmethod
    def name(self, table: Table) -> Name:
        """Give the SQL name of a staging table of this load, or of a published table."""

    @abstractmethod
    def actual_columns(self) -> Name:
        """Give the relation (table_name, column_name, data_type) of what is really stored for this load."""

    @abstractmethod
    def register(self, relation: str, rows: pa.Table) -> Name:
        """Make a small table known under a name, for this session only."""

    @abstractmethod
    def register_responses(self, uris: Sequence[str]) -> Name:
        """Make stored price answers known as one relation of text columns, with their address in `"$path"`."""

    @abstractmethod
    def create_view(self, name: str, select: str) -> Name:
        """Make `published.<name>` a view of a SELECT in the Athena dialect."""

    @abstractmethod
    def restrict(self) -> None:
        """Allow only reads of the published tables and of the views made so far, until the session ends.

        Call this before a SELECT that a user wrote: it must not read files of this machine.
        """

    @abstractmethod
    def query(self, select: str) -> pa.Table:
        """Run a SELECT in the Athena dialect.

        Raises:
            InvalidQuery: the text is not a single SELECT.
            QueryFailed: the engine refused it.
        """

    @abstractmethod
    def stage(self, table: Table, select: str) -> int:
        """Make a staging table of this load from a SELECT, replacing an earlier one; give its number of rows."""

    @abstractmethod
    def base(self, table: Table) -> int | None:
        """Give the snapshot of a published table that this session reads, or None before the first."""

    @abstractmethod
    def replace_range(
        self, target: Table, source: Table, *, first: date, last: date, properties: Mapping[str, str]
    ) -> int:
        """Make the rows of `[first, last]` of a published table equal to a staging table, in one commit.

        Returns:
            the id of the new snapshot.

        Raises:
            ConcurrentPublish: another writer changed the table since this session was opened.
        """


class Warehouse(ABC):
    """The tables of a backend."""

    @abstractmethod
    def open(self, load_id: str = "") -> AbstractContextManager[SqlSession]:
        """Open a session on the current version of the published tables and on the staging tables of a load."""

    @abstractmethod
    def history(self, table: Table) -> list[Snapshot]:
        """List the versions of a published table, newest first."""

    @abstractmethod
    def rollback(self, table: Table, snapshot_id: int) -> None:
        """Make an earlier (or later) version of a published table the one that readers see.

        Raises:
            UnknownSnapshot: the table has no such version, or has it no more: the message says that old versions
                have expired, if any have.
        """

    @abstractmethod
    def maintain(self, table: Table, *, keep_since: datetime, at: datetime) -> MaintenanceResult:
        """Compact small files, let old versions expire, and remove files that nothing needs.

        The rows stay as they are, to the bit. So does every version committed at or after `keep_since`, and the one
        that readers see: each can be read, and gone back to. Several files of one partition become one where they
        can, in a version of its own that `Snapshot.is_maintenance`; a load staged before it is staged again. Files are
        removed when no version that is left needs them and they are so old, as of `at`, that no publish under way can
        be about to commit them, and no reader be still at them. Whoever publishes meanwhile loses nothing; killed at
        any moment, the next time does the rest; a second time right after changes nothing.

        A table whose readers see an earlier version since a rollback is left alone: what would be committed or
        removed there hides that they do, or the way forward.

        Args:
            table: a published table.
            keep_since: versions from then on stay.
            at: now, aware, UTC; ages of files count from here.
        """

    @abstractmethod
    def location(self, table: Table) -> str:
        """Give the address of a published table, for people."""

    @abstractmethod
    def drop_staging(self, load_id: str) -> None:
        """Remove the staging tables of a load; nothing happens if there are none."""

    @abstractmethod
    def staged_loads(self) -> list[str]:
        """List the ids of the loads that have staging tables, sorted."""


class Backend(ABC):
    """Where data live and SQL runs."""

    @property
    @abstractmethod
    def objects(self) -> Objects:
        """Raw responses and notes of loads."""

    @property
    @abstractmethod
    def ledger(self) -> FetchLedger:
        """Every request that was sent to the source."""

    @property
    @abstractmethod
    def rate_limiter(self) -> RateLimiter:
        """Counts the calls to each vendor."""

    @property
    @abstractmethod
    def warehouse(self) -> Warehouse:
        """Staged and published tables."""

    def take_statement_log(self) -> "StatementLog | None":
        """Return the statements that were sent since the last call, or None where SQL runs in this process."""
        return None


@dataclass(frozen=True)
class StatementLog:
    """Statements that were sent to an engine.

    Attributes:
        engine: name of the engine.
        new: statements since the last look.
        total: all statements of this process.
    """

    engine: str
    new: tuple[StatementRun, ...]
    total: tuple[StatementRun, ...]
