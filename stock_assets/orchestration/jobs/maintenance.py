"""The weekly maintenance: staging tables, old versions and orphan files, and old runs of the instance.

Belongs here: what is maintained and when, and how it is shown. Does not belong here: how a backend maintains a table
(`backends`).

Deleting a run deletes its events, and with the newest materialization of a partition Dagster would forget that the
partition exists. So a run stays, however old, as long as it holds the newest materialization of any partition or the
newest result of any check.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg
from dagster import AssetRecordsFilter, DagsterEventType

from stock_assets.backends.interface import Backend, MaintenanceResult
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.core.text import markdown_table
from stock_assets.loads.load import drop_leftovers, drop_old_loads

JOB_NAME = "maintenance"
SCHEDULE_NAME = "maintenance_on_sundays"
CRON = "0 6 * * 0"
"""No exchange trades, no vendor is asked, and a run of Friday evening has ended."""
_BATCH = 500
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Retention:
    """How long things are kept.

    Attributes:
        staging: staging tables of a load, and what killed writers have left.
        snapshots: versions of published tables.
        runs: runs of the Dagster instance that nothing shown depends on.
    """

    staging: timedelta
    snapshots: timedelta
    runs: timedelta


@dataclass(frozen=True)
class Done:
    """What maintenance did.

    Attributes:
        loads_dropped: old loads whose staging tables and notes are gone.
        leftovers: staging tables without a note, and half-written objects, that killed runs had left.
        tables: what was done to each published table, by its name.
        runs_deleted: runs of the instance.
    """

    loads_dropped: int
    leftovers: int
    tables: Mapping[str, MaintenanceResult] = field(default_factory=dict)
    runs_deleted: int = 0

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


def maintain(
    backend: Backend, instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey], keep: Retention, at: datetime
) -> Done:
    """Maintain everything.

    Args:
        backend: whose tables and staging tables.
        instance: whose runs.
        checks: those whose newest result has to stay.
        keep: how long things are kept.
        at: now, aware, UTC.
    """
    loads = drop_old_loads(backend, older_than=keep.staging, now=at)
    leftovers = drop_leftovers(backend, older_than=keep.staging, now=at)
    tables = {
        table.full_name: backend.warehouse.maintain(table, keep_since=at - keep.snapshots, at=at)
        for table in PUBLISHED_TABLES
    }
    return Done(loads, leftovers, tables, delete_old_runs(instance, checks, before=at - keep.runs))


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


def maintenance_job(keep: Retention, checks: Collection[dg.AssetCheckKey], *, now: Clock = utc_now) -> dg.JobDefinition:
    """Make the job; it holds the pool of publishing, so that it never meets a publish.

    Args:
        keep: how long things are kept.
        checks: those whose newest result has to stay.
        now: the clock.
    """

    @dg.op(
        name="maintain",
        pool="publish",
        description="Drops old staging tables, compacts published tables, lets old versions expire, sweeps up files "
        "that nothing needs, and deletes old runs. What it did is shown with its output.",
    )
    def maintain_everything(context: dg.OpExecutionContext, backend: Backend) -> None:
        done = maintain(backend, context.instance, checks, keep, now())
        for row in done.rows:
            context.log.info(", ".join(f"{name}: {value}" for name, value in row.items()))
        context.add_output_metadata(
            {
                "loads dropped": done.loads_dropped,
                "leftovers removed": done.leftovers,
                "runs deleted": done.runs_deleted,
                "published tables": dg.MetadataValue.md(markdown_table(done.rows)),
                **backend.sql_spending(),
            }
        )

    @dg.job(
        name=JOB_NAME,
        description="Keeps tables, staging and the instance small, and no reader or rollback from what it needs.",
    )
    def maintenance() -> None:
        maintain_everything()

    return maintenance


def maintenance_schedule(job: dg.JobDefinition, *, running: bool) -> dg.ScheduleDefinition:
    """Make the weekly schedule; on from the start where the source grows."""
    return dg.ScheduleDefinition(
        name=SCHEDULE_NAME,
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Every Sunday at 06:00 UTC, when nothing else runs.",
    )
