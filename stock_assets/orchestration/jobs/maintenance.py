"""The weekly maintenance job, its schedule's counterpart in `schedules.maintenance`, and the deletion of old runs.

Belongs here: the job, and what it does to the Dagster instance. Does not belong here: tables and files (`maintenance`).

Deleting a run deletes its events, and with the newest materialization of a partition Dagster would forget that the
partition exists. So a run stays, however old, as long as it holds the newest materialization of any partition or the
newest result of any check.
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
    """Delete finished runs from before a moment that nothing shown depends on; give how many."""
    old = instance.get_run_records(filters=dg.RunsFilter(statuses=_FINISHED, created_before=before))
    if not old:
        return 0
    needed = set(_runs_shown(instance, checks))
    deleted = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in needed]
    for run_id in deleted:
        instance.delete_run(run_id)
    return len(deleted)


def _runs_shown(instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]) -> Iterator[str]:
    """Name the runs with the newest materialization of a partition or asset, or the newest result of a check."""
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
    """Make the job; it holds the pool of publishing, so that it never meets a publish.

    Args:
        retention: how long things are kept.
        checks: those whose newest result has to stay.
        now: the clock.
    """

    @dg.op(
        name="maintain",
        pool="publish",
        description="Drops old staging tables, compacts published tables, lets old versions expire, sweeps up files "
        "that nothing needs, and deletes old runs. What it did is shown with its output.",
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
                "leftovers removed": done.incomplete_loads,
                "runs deleted": deleted,
                "published tables": dg.MetadataValue.md(markdown_table(done.rows)),
                **statement_metadata(pipeline.backend),
            }
        )

    @dg.job(
        name=JOB_NAME,
        description="Keeps tables, staging and the instance small, and no reader or rollback from what it needs.",
    )
    def maintenance() -> None:
        maintain_everything()

    return maintenance
