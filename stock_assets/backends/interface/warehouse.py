"""The interface of the warehouse: the tables of a backend, their snapshots and their maintenance.

Belongs here: the interface and the values it exchanges. Does not belong here: SQL over the tables (`sql_connection`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from stock_assets.backends.interface.sql_connection import SqlConnection
from stock_assets.core.tables import Table

MAINTENANCE = "maintenance"
"""Property of a snapshot that `Warehouse.maintain` committed; its value is the operation, such as `compaction`."""
PURGED = "purged"
"""Property of a snapshot that `maintenance.purge` committed; its value is the symbol."""

AsOf = datetime | Mapping[str, int]
"""What is read instead of the current snapshots: those of a timestamp (aware), or snapshot ids by full table names."""


@dataclass(frozen=True)
class Snapshot:
    """One committed snapshot of a published table.

    Attributes:
        snapshot_id: Iceberg's id.
        committed_at: aware, UTC.
        rows: number of rows of the whole table.
        properties: properties that the publishing load recorded.
        is_current: whether consumers read this snapshot now.
        parent_id: the snapshot that was current when this one was committed; it may have expired, and after a rollback
            it is not the one that was committed before.
    """

    snapshot_id: int
    committed_at: datetime
    rows: int
    properties: Mapping[str, str]
    is_current: bool
    parent_id: int | None = None

    @property
    def is_maintenance(self) -> bool:
        """Return whether maintenance committed the snapshot: it has the rows of its parent, in other files."""
        return MAINTENANCE in self.properties


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
