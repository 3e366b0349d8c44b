"""Killed runs: one that Dagster repeats is not told; one that nobody repeats is."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._core.utils import make_new_run_id

from stock_assets.automation.repetition import REPEATED_WITHIN
from stock_assets.automation.watch import Watch, alert_sensor
from stock_assets.homes.interfaces import Home
from stock_assets_tests.support.ear import Ear
from stock_assets_tests.support.path import FIVE
from stock_assets_tests.support.scenes import calm_source

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("stock_assets.definitions"), "__repository__"), "daily_prices"
)
SOON = timedelta(minutes=1)
LATE = REPEATED_WITHIN + timedelta(minutes=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(settings={"run_retries": {"enabled": True}}) as made:
        yield made


@pytest.fixture
def told(home: Home, instance: dg.DagsterInstance) -> Callable[[timedelta], int]:
    """Evaluate the sensor some time from now; give the number of messages so far."""
    ear = Ear()

    def evaluate(later: timedelta) -> int:
        sensor = alert_sensor(Watch(FIVE, [ear], "http://localhost:3000"), now=lambda: datetime.now(UTC) + later)
        with dg.build_sensor_context(instance=instance, resources={"home": home, "source": calm_source()}) as context:
            sensor(context)
        return len(ear.heard)

    return evaluate


def kill(instance: dg.DagsterInstance, origin: RemoteJobOrigin | None = ORIGIN) -> str:
    """Leave a run as Dagster does that is about to repeat it."""
    run = dg.DagsterRun(
        job_name="daily_prices",
        run_id=make_new_run_id(),
        status=dg.DagsterRunStatus.FAILURE,
        tags={WILL_RETRY_TAG: "true"},
        remote_job_origin=origin,
    )
    return instance.add_run(run).run_id


def test_a_repeated_run_is_not_told(instance: dg.DagsterInstance, told: Callable[[timedelta], int]) -> None:
    run_id = kill(instance)
    assert told(SOON) == 0
    instance.add_run_tags(run_id, {AUTO_RETRY_RUN_ID_TAG: "the next"})
    assert told(SOON) == 0
    assert told(LATE) == 0


def test_a_run_that_was_to_be_repeated_and_was_not_is_told_once(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    kill(instance)
    assert told(SOON) == 0
    assert told(LATE) == 1
    assert told(LATE) == 1


def test_a_run_that_could_not_be_repeated_is_told(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    """Dagster takes its word back if it cannot start the next, as when the code does not load."""
    run_id = kill(instance)
    assert told(SOON) == 0
    instance.add_run_tags(run_id, {WILL_RETRY_TAG: "false"})
    assert told(SOON) == 1


def test_a_run_of_the_command_line_is_told_at_once(
    instance: dg.DagsterInstance, told: Callable[[timedelta], int]
) -> None:
    """Dagster marks it as to be repeated, and then finds that it has no origin to start it from."""
    kill(instance, origin=None)
    assert told(SOON) == 1
