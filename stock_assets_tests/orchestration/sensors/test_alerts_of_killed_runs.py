"""A killed run that Dagster retries sends no alert; a killed run that is not retried sends one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.orchestration.instance.dagster_internals import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from stock_assets.orchestration.killed_runs import RETRY_DECIDED_WITHIN
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import leave_killed_run
from stock_assets_tests.support.scenes import Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

SOON = timedelta(minutes=1)
LATE = RETRY_DECIDED_WITHIN + timedelta(minutes=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(settings={"run_retries": {"enabled": True}}) as made:
        yield made


@pytest.fixture
def messages(backend: Backend, instance: dg.DagsterInstance) -> Callable[[timedelta], int]:
    """Evaluate the sensor some time from now; return the number of messages so far."""
    channel = RecordingChannel()

    def evaluate(later: timedelta) -> int:
        sensor = alert_sensor(AlertContext([channel], "http://localhost:3000"), now=lambda: datetime.now(UTC) + later)
        with dg.build_sensor_context(
            instance=instance, resources={"pipeline": as_pipeline(Scene(backend, calm_source()))}
        ) as context:
            sensor(context)
        return len(channel.sent)

    return evaluate


def test_a_retried_run_sends_no_alert(instance: dg.DagsterInstance, messages: Callable[[timedelta], int]) -> None:
    run = leave_killed_run(instance)
    assert messages(SOON) == 0
    instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "the next"})
    assert messages(SOON) == 0
    assert messages(LATE) == 0


def test_a_run_that_should_have_been_retried_sends_one_alert(
    instance: dg.DagsterInstance, messages: Callable[[timedelta], int]
) -> None:
    leave_killed_run(instance)
    assert messages(SOON) == 0
    assert messages(LATE) == 1
    assert messages(LATE) == 1


def test_a_run_that_cannot_be_retried_sends_an_alert(
    instance: dg.DagsterInstance, messages: Callable[[timedelta], int]
) -> None:
    """Dagster changes the tag if it cannot start the retry, for example if the code does not load."""
    run = leave_killed_run(instance)
    assert messages(SOON) == 0
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert messages(SOON) == 1


def test_a_run_of_the_command_line_sends_an_alert_at_once(
    instance: dg.DagsterInstance, messages: Callable[[timedelta], int]
) -> None:
    """Dagster tags it for a retry, and cannot start one, because the run has no origin."""
    leave_killed_run(instance, origin=None)
    assert messages(SOON) == 1
