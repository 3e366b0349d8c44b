"""Killed runs: one that Dagster repeats is not told; one that nobody repeats is."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.orchestration.instance.dagster_internals import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from stock_assets.orchestration.retries import RETRY_DECIDED_WITHIN
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import leave_killed_run
from stock_assets_tests.support.scenes import calm_source

SOON = timedelta(minutes=1)
LATE = RETRY_DECIDED_WITHIN + timedelta(minutes=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(settings={"run_retries": {"enabled": True}}) as made:
        yield made


@pytest.fixture
def told(backend: Backend, instance: dg.DagsterInstance) -> Callable[[timedelta], int]:
    """Evaluate the sensor some time from now; give the number of messages so far."""
    ear = RecordingChannel()

    def evaluate(later: timedelta) -> int:
        sensor = alert_sensor(AlertContext([ear], "http://localhost:3000"), now=lambda: datetime.now(UTC) + later)
        with dg.build_sensor_context(
            instance=instance, resources={"backend": backend, "source": calm_source()}
        ) as context:
            sensor(context)
        return len(ear.heard)

    return evaluate


def test_a_repeated_run_is_not_told(instance: dg.DagsterInstance, told: Callable[[timedelta], int]) -> None:
    run = leave_killed_run(instance)
    assert told(SOON) == 0
    instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "the next"})
    assert told(SOON) == 0
    assert told(LATE) == 0


def test_a_run_that_was_to_be_repeated_and_was_not_is_told_once(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    leave_killed_run(instance)
    assert told(SOON) == 0
    assert told(LATE) == 1
    assert told(LATE) == 1


def test_a_run_that_could_not_be_repeated_is_told(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    """Dagster takes its word back if it cannot start the next, as when the code does not load."""
    run = leave_killed_run(instance)
    assert told(SOON) == 0
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert told(SOON) == 1


def test_a_run_of_the_command_line_is_told_at_once(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    """Dagster marks it as to be repeated, and then finds that it has no origin to start it from."""
    leave_killed_run(instance, origin=None)
    assert told(SOON) == 1
