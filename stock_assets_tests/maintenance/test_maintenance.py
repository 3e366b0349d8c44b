"""Maintenance drops old staging tables, maintains every published table, and reports both."""

from datetime import UTC, datetime, timedelta

from stock_assets.backends.interface import Backend
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import published_rows

MONTH = timedelta(days=30)


def test_the_summary_has_the_dropped_loads_and_one_row_per_published_table(backend: Backend) -> None:
    Scene(backend, calm_source()).run(TWO_WEEKS)
    rows = published_rows(backend)
    retention = RetentionPolicy(staging=MONTH, snapshots=MONTH, runs=MONTH)

    young = maintain(backend, retention, datetime.now(UTC))
    old = maintain(backend, retention, datetime.now(UTC) + 2 * MONTH)

    assert (young.loads_dropped, young.incomplete_loads) == (0, 0)
    assert (old.loads_dropped, old.incomplete_loads) == (1, 0)
    assert [row["table"] for row in old.rows] == [table.full_name for table in PUBLISHED_TABLES]
    assert backend.warehouse.staged_loads() == []
    assert published_rows(backend) == rows
