"""The sensor that draws the report after a change of published rows.

Belongs here: the decision to draw. Does not belong here: drawing (`serve.report`), the asset (`assets.report`).

The sensor compares snapshots of the published tables, not runs. So it draws once after a backfill of many runs, also
after a load of the command line or a rollback, and never after a run that changed nothing.
"""

from itertools import dropwhile

import dagster as dg

from stock_assets.backends.interface import Warehouse
from stock_assets.core.clock import utc_now
from stock_assets.core.tables import PUBLISHED_TABLES, Table
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.run_requests import run_in_progress
from stock_assets.pipeline import Pipeline

SENSOR_NAME = "report"


def report_sensor(job: AssetJob, names: Names = PLAIN) -> dg.SensorDefinition:
    """Return the sensor. Its cursor contains the snapshots of the last report."""

    @dg.sensor(
        name=names.name(SENSOR_NAME),
        job=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Draws the report after a change of published rows, when no other run is in progress.",
    )
    @names.uses_pipeline
    def report(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
        published = published_snapshots(pipeline.backend.warehouse)
        if not published:
            return dg.SensorResult(skip_reason="Nothing is published yet.")
        if published == context.cursor:
            return dg.SensorResult(skip_reason="No published row has changed since the last report.")
        waits_for = run_in_progress(context.instance, utc_now(), names)
        if waits_for:
            return dg.SensorResult(skip_reason=f"Published rows have changed; {waits_for}.")
        # Without a run key: Dagster would ignore the key of a state to which a table is rolled back.
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=published)

    return report


def published_snapshots(warehouse: Warehouse) -> str:
    """Return the snapshots that wrote the published rows, or an empty text if nothing is published."""
    found = {table.name: _written_by(warehouse, table) for table in PUBLISHED_TABLES}
    return ", ".join(f"{name} {snapshot}" for name, snapshot in found.items() if snapshot is not None)


def _written_by(warehouse: Warehouse, table: Table) -> int | None:
    """Return the snapshot that wrote a table's rows; maintenance writes the same rows into other files."""
    since_current = list(dropwhile(lambda snapshot: not snapshot.is_current, warehouse.history(table)))
    writers = [snapshot for snapshot in since_current if not snapshot.is_maintenance] or since_current[-1:]
    return writers[0].snapshot_id if writers else None
