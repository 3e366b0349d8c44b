"""Maintain the data: old staging tables, old raw responses, small files, expired snapshots and orphan files.

Belongs here: what is maintained, in which order, and the summary. Does not belong here: how a backend maintains a table
(`backends`), old runs of the Dagster instance (`orchestration.jobs.maintenance`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stock_assets.backends.interface import Backend, MaintenanceResult
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.ingest.response_packs import pack_responses
from stock_assets.loads.load import drop_incomplete_loads, drop_old_loads
from stock_assets.loads.split_factors import drop_unused_factors
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.serve.views import refresh_views


@dataclass(frozen=True)
class MaintenanceSummary:
    """Result of one maintenance.

    Attributes:
        loads_dropped: number of old loads whose staging tables and records were dropped.
        incomplete_loads: number of staging tables without a record, and of partly written objects, that were dropped;
            killed runs had left them.
        responses_packed: number of raw responses that were moved into packs.
        tables: what was done to each published table, by its name.
    """

    loads_dropped: int
    incomplete_loads: int
    responses_packed: int = 0
    tables: Mapping[str, MaintenanceResult] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row per table, for display."""
        return [
            {
                "table": name,
                "data files": f"{done.files_before} to {done.files_after}",
                "snapshots expired": done.snapshots_expired,
                "files removed": done.files_removed,
                "bytes freed": done.bytes_freed,
                "skipped": done.skipped_because or "no",
            }
            for name, done in self.tables.items()
        ]


def maintain(backend: Backend, retention: RetentionPolicy, at: datetime) -> MaintenanceSummary:
    """Maintain staging tables, raw responses and published tables.

    Args:
        backend: the backend.
        retention: the retention periods.
        at: now, aware, UTC.
    """
    loads = drop_old_loads(backend, older_than=retention.staging, now=at)
    incomplete = drop_incomplete_loads(backend, older_than=retention.staging, now=at)
    packed = pack_responses(backend, at)
    # Before and after: stored views must name neither a snapshot that expires, nor small files that were compacted.
    refresh_views(backend)
    tables = {
        table.full_name: backend.warehouse.maintain(table, keep_since=at - retention.snapshots, at=at)
        for table in PUBLISHED_TABLES
    }
    # After the snapshots: no remaining snapshot may follow the factors of an expired one.
    drop_unused_factors(backend, older_than=retention.staging, now=at)
    refresh_views(backend)
    return MaintenanceSummary(loads, incomplete, packed, tables)
