"""The interface of a connection: SQL over one load's staging tables and the published tables.

Belongs here: the interface and the values it exchanges. Does not belong here: opening a connection, snapshots,
rollback, maintenance (`warehouse`), the SQL (`sql/`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from stock_assets.backends.interface.ledger import Fetch
from stock_assets.core.sql import Fragment, Name
from stock_assets.core.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

_T = TypeVar("_T")


@dataclass(frozen=True)
class Digests:
    """Digests of everything that the statements of one connection can read, raw responses apart.

    Attributes:
        staging: of the files of the load's staging tables.
        inputs: of the registered tables, and of the snapshots of the published tables.
    """

    staging: str
    inputs: str


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
