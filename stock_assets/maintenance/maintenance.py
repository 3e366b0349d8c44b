"""Maintenance of the data: old staging tables, small files, expired snapshots and orphan files.

Belongs here: what is maintained, in which order, and the summary. Does not belong here: how a backend maintains a table
(`backends`), old runs of the Dagster instance (`orchestration.jobs.maintenance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stock_assets.backends.interface import Backend, MaintenanceResult
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.loads.load import drop_leftovers, drop_old_loads
from stock_assets.maintenance.retention import RetentionPolicy


@dataclass(frozen=True)
class MaintenanceSummary:
    """What maintenance did.

    Attributes:
        loads_dropped: old loads whose staging tables and notes are gone.
        leftovers: staging tables without a note, and half-written objects, that killed runs had left.
        tables: what was done to each published table, by its name.
    """

    loads_dropped: int
    leftovers: int
    tables: Mapping[str, MaintenanceResult] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, object]]:
        """A row for each table, for people."""
        return [
            {
                "table": name,
                "data files": f"{done.files_before} to {done.files_after}",
                "versions expired": done.snapshots_expired,
                "files removed": done.files_removed,
                "bytes freed": done.bytes_freed,
                "left alone": done.skipped_because or "no",
            }
            for name, done in self.tables.items()
        ]


def maintain(backend: Backend, retention: RetentionPolicy, at: datetime) -> MaintenanceSummary:
    """Maintain staging and published tables.

    Args:
        backend: the backend.
        retention: how long things are kept.
        at: now, aware, UTC.
    """
    loads = drop_old_loads(backend, older_than=retention.staging, now=at)
    leftovers = drop_leftovers(backend, older_than=retention.staging, now=at)
    tables = {
        table.full_name: backend.warehouse.maintain(table, keep_since=at - retention.snapshots, at=at)
        for table in PUBLISHED_TABLES
    }
    return MaintenanceSummary(loads, leftovers, tables)
