"""The maintenance job, the deletion of old runs, and the removal of their logs.

Belongs here: the job, and maintenance of the Dagster instance. Does not belong here: maintenance of tables and files
(`maintenance`), when the job runs (`schedules.maintenance`).

Deleting a run deletes its events. Without the newest materialization of a partition, Dagster would show the partition
as missing. So a run is kept, however old, as long as it holds the newest materialization of any partition or the newest
result of any check. With one run per session these are nearly all runs; of an old run only these events are kept.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType

from stock_assets.core.clock import utc_now
from stock_assets.core.text import markdown_table
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.orchestration.instance.log_removal import RemovableLogs
from stock_assets.orchestration.jobs.daily_prices import EXECUTOR
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.orchestration.universe_runs import belongs, belongs_only
from stock_assets.pipeline import Pipeline

JOB_NAME = "maintenance"
RUNS_WITH_LOGS = 50
"""Newest runs whose logs stay, besides those of failed runs. A log takes about 1 MB; the size of the instance must not
depend on how many loads start in a day."""
LOGS_REMOVED = "stock_assets/logs_removed"
"""Tag of a run whose log was removed; the list of runs shows it."""
_BATCH = 500
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def delete_old_runs(
    instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey], *, before: datetime, names: Names = PLAIN
) -> int:
    """Delete finished runs from before a timestamp, except runs whose results the UI shows; return their number.

    A run with results of another universe stays, because `checks` has only the checks of this one.
    """
    finished = instance.get_run_records(filters=dg.RunsFilter(statuses=_FINISHED, created_before=before))
    old = [record for record in finished if belongs_only(record.dagster_run, names)]
    if not old:
        return 0
    needed = set(_newest_runs(instance, checks))
    deleted = [record.dagster_run.run_id for record in old if record.dagster_run.run_id not in needed]
    for run_id in deleted:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    return len(deleted)


def remove_old_logs(instance: dg.DagsterInstance, *, before: datetime, names: Names = PLAIN) -> int:
    """Remove the logs of old runs, except what defines the state of assets and checks; return the number of runs.

    Old are finished runs from before a timestamp, and successful runs that are not among the newest ones. The event log
    that `STOCK_ASSETS_EVENT_LOG=builtin` selects cannot remove logs.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, RemovableLogs):
        return 0
    finished = instance.get_run_records(filters=dg.RunsFilter(statuses=_FINISHED))
    own = [record for record in finished if belongs(record.dagster_run, names)]
    old = [
        record.dagster_run.run_id
        for number, record in enumerate(own)
        if LOGS_REMOVED not in record.dagster_run.tags
        and (
            record.create_timestamp.replace(tzinfo=UTC) < before
            or (record.dagster_run.is_success and number >= RUNS_WITH_LOGS)
        )
    ]
    storage.remove_logs(old)
    for run_id in old:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.add_run_tags(run_id, {LOGS_REMOVED: "by maintenance"})
    return len(old)


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
    retention: RetentionPolicy,
    checks: Collection[dg.AssetCheckKey],
    names: Names = PLAIN,
) -> dg.JobDefinition:
    """Return the job. It uses the pool of publishing, so that it never runs at the same time as a publish.

    Args:
        retention: how long staging tables, snapshots and runs are retained.
        checks: checks whose newest result is kept.
        names: the names of the universe.
    """

    @dg.op(
        name=names.name("maintain"),
        pool=names.name("publish"),
        description="Drops old staging tables, packs old raw responses, compacts published tables, expires old "
        "snapshots, deletes orphan files, old runs and their logs. The metadata of its output shows the result.",
    )
    @names.uses_pipeline
    def maintain_everything(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
        at = utc_now()
        done = maintain(pipeline.backend, retention, at)
        deleted = delete_old_runs(context.instance, checks, before=at - retention.runs, names=names)
        logs = remove_old_logs(context.instance, before=at - retention.runs, names=names)
        for row in done.rows:
            context.log.info(", ".join(f"{name}: {value}" for name, value in row.items()))
        context.add_output_metadata(
            {
                "loads dropped": done.loads_dropped,
                "leftovers deleted": done.incomplete_loads,
                "raw responses packed": done.responses_packed,
                "runs deleted": deleted,
                "logs of runs removed": logs,
                "published tables": dg.MetadataValue.md(markdown_table(done.rows)),
                **statement_metadata(pipeline.backend),
            }
        )

    @dg.job(
        name=names.name(JOB_NAME),
        tags=names.tags,
        executor_def=EXECUTOR,
        description="Keeps staging, published tables and the instance small. It deletes nothing that consumers or a "
        "rollback within the retention need.",
    )
    def maintenance() -> None:
        maintain_everything()

    return maintenance
