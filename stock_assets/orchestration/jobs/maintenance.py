"""The maintenance job, and the deletion of old runs.

Belongs here: the job, and maintenance of the Dagster instance. Does not belong here: maintenance of tables and files
(`maintenance`), when the job runs (`schedules.maintenance`).

Deleting a run deletes its events. Without the newest materialization of a partition, Dagster would show the partition
as missing. So a run is kept, however old, as long as it holds the newest materialization of any partition or the newest
result of any check.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType

from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.text import markdown_table
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention import RetentionPolicy
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.pipeline import Pipeline

JOB_NAME = "maintenance"
_BATCH = 500
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey], *, before: datetime) -> int:
    """Delete finished runs from before a timestamp, except runs whose results the UI shows; return their number."""
    old = instance.get_run_records(filters=dg.RunsFilter(statuses=_FINISHED, created_before=before))
    if not old:
        return 0
    needed = set(_newest_runs(instance, checks))
    deleted = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in needed]
    for run_id in deleted:
        instance.delete_run(run_id)
    return len(deleted)


def _newest_runs(instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]) -> Iterator[str]:
    """Return ids of runs with the newest materialization of a partition or asset, or the newest check result."""
    events = instance.event_log_storage
    for key in instance.all_asset_keys():
        newest = instance.get_latest_materialization_event(key)
        if newest is not None:
            yield newest.run_id
        latest = events.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
        for start in range(0, len(latest), _BATCH):
            ids = list(latest.values())[start : start + _BATCH]
            found = instance.fetch_materializations(AssetRecordsFilter(asset_key=key, storage_ids=ids), limit=len(ids))
            yield from (record.run_id for record in found.records)
    for result in events.get_latest_asset_check_execution_by_key(list(checks)).values():
        yield result.run_id


def maintenance_job(
    retention: RetentionPolicy, checks: Collection[dg.AssetCheckKey], *, now: Clock = utc_now
) -> dg.JobDefinition:
    """Return the job. It uses the pool of publishing, so that it never runs at the same time as a publish.

    Args:
        retention: how long staging tables, snapshots and runs are retained.
        checks: checks whose newest result is kept.
        now: the clock.
    """

    @dg.op(
        name="maintain",
        pool="publish",
        description="Drops old staging tables, compacts published tables, expires old snapshots, deletes orphan files "
        "and old runs. The metadata of its output shows the result.",
    )
    def maintain_everything(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
        at = now()
        done = maintain(pipeline.backend, retention, at)
        deleted = delete_old_runs(context.instance, checks, before=at - retention.runs)
        for row in done.rows:
            context.log.info(", ".join(f"{name}: {value}" for name, value in row.items()))
        context.add_output_metadata(
            {
                "loads dropped": done.loads_dropped,
                "leftovers deleted": done.incomplete_loads,
                "runs deleted": deleted,
                "published tables": dg.MetadataValue.md(markdown_table(done.rows)),
                **statement_metadata(pipeline.backend),
            }
        )

    @dg.job(
        name=JOB_NAME,
        description="Keeps staging, published tables and the instance small. It deletes nothing that consumers or a "
        "rollback within the retention need.",
    )
    def maintenance() -> None:
        maintain_everything()

    return maintenance
