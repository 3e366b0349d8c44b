"""The schedule, evaluated at chosen timestamps."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import time_machine

from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.schedules import maintenance
from stock_assets.orchestration.schedules.weekdays import SCHEDULE_NAME
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.support.dagster_internals import InstanceRef

SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "schedule.json"
LIVE = Settings(source=SourceName.ALPHA_VANTAGE)


@pytest.fixture(scope="module")
def live() -> dg.RepositoryDefinition:
    return build_definitions(LIVE).get_repository_def()


def tick(repository: dg.RepositoryDefinition, day: date) -> str:
    """Evaluate the schedule at 22:00 UTC: the session requested, or why there is none."""
    timestamp = datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=timestamp, repository_def=repository)
    result = repository.get_schedule_def(SCHEDULE_NAME).evaluate_tick(context)
    if result.run_requests:
        (request,) = result.run_requests
        assert request.run_key == request.partition_key
        return str(request.partition_key)
    return result.skip_message or ""


@pytest.mark.parametrize(
    ("day", "why"),
    [
        (date(2025, 11, 24), "Monday of Thanksgiving week"),
        (date(2025, 11, 26), "eve of a holiday"),
        (date(2025, 11, 28), "early close at 13:00 in New York"),
        (date(2025, 12, 24), "early close on the eve of Christmas"),
        (date(2025, 3, 7), "Friday before summer time: the market closes at 21:00 UTC"),
        (date(2025, 3, 10), "Monday in summer time: the market closes at 20:00 UTC"),
        (date(2025, 10, 31), "Friday before winter time"),
        (date(2025, 11, 3), "Monday in winter time"),
        (date(2024, 2, 29), "leap day"),
    ],
)
def test_a_session_is_requested_on_its_day(live: dg.RepositoryDefinition, day: date, why: str) -> None:
    assert tick(live, day) == day.isoformat(), why


@pytest.mark.parametrize("day", [date(2025, 11, 27), date(2025, 12, 25), date(2025, 1, 9), date(2024, 3, 29)])
def test_a_closed_day_is_skipped_with_the_reason(live: dg.RepositoryDefinition, day: date) -> None:
    assert tick(live, day) == f"the exchange was closed on {day}"


def test_a_month_is_requested_day_by_day_and_never_twice(live: dg.RepositoryDefinition) -> None:
    weekdays = [day for day in (date(2025, 11, 1) + timedelta(days=n) for n in range(30)) if day.isoweekday() <= 5]
    requested = [tick(live, day) for day in weekdays]
    assert requested == [
        f"the exchange was closed on {day}" if day == date(2025, 11, 27) else day.isoformat() for day in weekdays
    ]


def test_the_schedule_ticks_on_weekdays_at_22_utc_and_is_on_for_a_live_source(live: dg.RepositoryDefinition) -> None:
    schedule = live.get_schedule_def(SCHEDULE_NAME)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 22 * * 1-5", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


@pytest.mark.parametrize(
    ("delay", "requested"),
    [
        (timedelta(minutes=59), "2025-11-24"),
        (timedelta(hours=1), "late for 2025-11-24: the sensor catch_up loads it, within the day's quota"),
        (timedelta(days=3), "late for 2025-11-24: the sensor catch_up loads it, within the day's quota"),
        # Nobody but a user in the UI evaluates it.
        (timedelta(days=30), "2025-11-24"),
    ],
)
def test_the_daemon_leaves_a_late_tick_to_catch_up(
    live: dg.RepositoryDefinition, tmp_path: Path, delay: timedelta, requested: str
) -> None:
    scheduled = datetime(2025, 11, 24, 22, tzinfo=UTC)
    context = dg.build_schedule_context(
        instance_ref=InstanceRef.from_dir(str(tmp_path)), scheduled_execution_time=scheduled, repository_def=live
    )
    with time_machine.travel(scheduled + delay, tick=False):
        result = live.get_schedule_def(SCHEDULE_NAME).evaluate_tick(context)
    assert (result.skip_message or (result.run_requests or [])[0].partition_key) == requested


def test_maintenance_is_on_by_default_for_a_live_source_only(live: dg.RepositoryDefinition) -> None:
    schedule = live.get_schedule_def(maintenance.SCHEDULE_NAME)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * 0", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    recorded = build_definitions(Settings()).get_repository_def().get_schedule_def(maintenance.SCHEDULE_NAME)
    assert recorded.default_status is dg.DefaultScheduleStatus.STOPPED


def test_days_after_a_recording_are_skipped_with_the_reason() -> None:
    recorded = build_definitions(Settings()).get_repository_def()
    assert recorded.get_schedule_def(SCHEDULE_NAME).default_status is dg.DefaultScheduleStatus.STOPPED
    assert tick(recorded, date(2025, 11, 24)) == "recorded sample, ends 2013-03-01: no session on 2025-11-24"


def test_evaluations_of_two_years_equal_the_snapshot(live: dg.RepositoryDefinition) -> None:
    """Delete the snapshot and run this test twice to accept an intended change. Weekdays of 2025 and 2026."""
    days = [date(2025, 1, 1) + timedelta(days=number) for number in range(730)]
    seen = {day.isoformat(): tick(live, day) for day in days if day.isoweekday() <= 5}
    requested = [result for day, result in seen.items() if result == day]
    assert len(set(requested)) == len(requested) > 495
    # The snapshot contains the days without a request, and the reasons.
    skipped = {day: result for day, result in seen.items() if result != day}
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(skipped, indent=1) + "\n", encoding="utf-8")
        pytest.fail("the snapshot was written; run the test again")
    assert skipped == json.loads(SNAPSHOT.read_text(encoding="utf-8"))
