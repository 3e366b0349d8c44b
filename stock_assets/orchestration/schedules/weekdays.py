"""The schedule that loads each weekday's session after the market close.

Belongs here: when the daily job runs. Does not belong here: what it does (`jobs.daily_prices`), trading days
(`core.calendar`).
"""

from datetime import date, datetime, timedelta

import dagster as dg

from stock_assets.core.calendar import is_session
from stock_assets.core.clock import utc_now
from stock_assets.coverage.gaps import catch_up_start
from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.keys import PLAIN, Names
from stock_assets.pipeline import Pipeline

_LONGEST_DELAY = timedelta(days=5)
"""The daemon evaluates the last missed tick only, which is a weekend with a holiday old at most."""
SCHEDULE_NAME = "weekdays_after_the_close"
CRON = "0 22 * * 1-5"
"""22:00 UTC is 17:00 or 18:00 in New York: after the market close, also around a change to or from daylight saving
time."""


def weekday_schedule(job: AssetJob, pipeline: Pipeline, names: Names = PLAIN) -> dg.ScheduleDefinition:
    """Return the schedule that loads each weekday's session, or skips a day with the reason.

    It is on by default for a source that grows every day, and off for a recording.

    After an outage, Dagster evaluates the last missed tick late. With a daily quota, its requests would use the calls
    of the next evening, whose responses contain the missed session too; so the sensor `catch_up` decides about it.
    """
    source = pipeline.source
    ends = source.last_session

    @dg.schedule(
        name=names.name(SCHEDULE_NAME),
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED if ends else dg.DefaultScheduleStatus.RUNNING,
        description="Loads the session of the day, every weekday at 22:00 UTC.",
    )
    def weekdays_after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # At 22:00 UTC New York has the same date.
        day = context.scheduled_execution_time.date()
        if ends and day > ends:
            return dg.SkipReason(f"{source.label}: no session on {day}")
        if not is_session(day):
            return dg.SkipReason(f"the exchange was closed on {day}")
        # Dagster's daemon and UI pass an instance. Without one, the question is only what a tick requests.
        evaluated_by_dagster = context.instance_ref is not None
        if evaluated_by_dagster and source.terms.limits.per_day is not None and _is_late(day, utc_now()):
            return dg.SkipReason(f"late for {day}: the sensor catch_up loads it, within the day's quota")
        return dg.RunRequest(run_key=day.isoformat(), partition_key=day.isoformat())

    return weekdays_after_the_close


def _is_late(day: date, at: datetime) -> bool:
    """Return whether an evaluation is late; an older tick is evaluated only on request, in Dagster's UI."""
    return catch_up_start(day) <= at < catch_up_start(day) + _LONGEST_DELAY
