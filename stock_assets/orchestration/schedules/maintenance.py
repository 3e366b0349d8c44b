"""The weekly schedule of the maintenance job.

Belongs here: when maintenance runs. Does not belong here: what it does (`jobs.maintenance`).
"""

import dagster as dg

from stock_assets.orchestration.keys import PLAIN, Names

SCHEDULE_NAME = "maintenance_on_sundays"
CRON = "0 6 * * 0"
"""No exchange trades, no request is sent, and the run of Friday evening has ended."""


def maintenance_schedule(job: dg.JobDefinition, names: Names = PLAIN, *, running: bool) -> dg.ScheduleDefinition:
    """Return the weekly schedule; it is on by default for a source that grows."""
    return dg.ScheduleDefinition(
        name=names.name(SCHEDULE_NAME),
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Every Sunday at 06:00 UTC, when no other run is scheduled.",
    )
