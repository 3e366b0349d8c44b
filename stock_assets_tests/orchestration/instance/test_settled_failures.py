"""The daemon reads a failure after the run is tagged, on both storages."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import time_machine

from stock_assets.orchestration.instance.dagster_internals import WILL_RETRY_TAG
from stock_assets.orchestration.instance.folder import configure_instance
from stock_assets.orchestration.instance.settled_failures import HELD_BACK_SECONDS
from stock_assets_tests.support.dagster_runs import leave_run

FAILURE = dg.DagsterEventType.RUN_FAILURE


@pytest.fixture
def local_folder(tmp_path: Path) -> Path:
    configure_instance(tmp_path)
    return tmp_path


@pytest.fixture(
    params=["local_folder", pytest.param("production_folder", marks=pytest.mark.slow)], ids=["local", "production"]
)
def instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(request.getfixturevalue(request.param))) as made:
        yield made


def start(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return leave_run(instance, dg.DagsterRunStatus.STARTED)


def store_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Store the event of a failure, without the run's status and tag."""
    event = dg.DagsterEvent(FAILURE.value, run.job_name)
    entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
        None, 40, "", run.run_id, time.time(), job_name=run.job_name, dagster_event=event
    )
    instance.event_log_storage.store_event(entry)


def visible(instance: dg.DagsterInstance, event_type: dg.DagsterEventType = FAILURE) -> list[str]:
    """Return the run ids that the daemon's event log consumer reads."""
    found = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=0, dagster_event_type={event_type}, limit=500
    )
    return [entry.run_id for entry in found.values()]


def test_a_failure_is_visible_when_its_run_is_tagged(instance: dg.DagsterInstance) -> None:
    run = start(instance)
    store_failure(instance, run)
    assert visible(instance) == []
    instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "true"})
    assert visible(instance) == [run.run_id]


def test_a_failure_that_dagster_reports_is_visible_at_once(instance: dg.DagsterInstance) -> None:
    run = start(instance)
    instance.report_run_failed(run, "its process is gone")
    assert visible(instance) == [run.run_id]


def test_a_failure_after_a_hidden_one_is_hidden_too(instance: dg.DagsterInstance) -> None:
    """The daemon stores the last event that it has read, and would skip the first."""
    one, two = start(instance), start(instance)
    store_failure(instance, one)
    instance.report_run_failed(two, "its process is gone")
    assert visible(instance) == []
    instance.add_run_tags(one.run_id, {WILL_RETRY_TAG: "false"})
    assert visible(instance) == [one.run_id, two.run_id]


def test_the_failure_of_a_deleted_run_is_visible(instance: dg.DagsterInstance) -> None:
    run = start(instance)
    store_failure(instance, run)
    assert visible(instance) == []
    instance.run_storage.delete_run(run.run_id)
    assert visible(instance) == [run.run_id]


def test_a_failure_is_not_hidden_forever(instance: dg.DagsterInstance) -> None:
    """The process that was about to tag the run may have been killed."""
    run = start(instance)
    store_failure(instance, run)
    assert visible(instance) == []
    with time_machine.travel(time.time() + HELD_BACK_SECONDS, tick=True):
        assert visible(instance) == [run.run_id]


def test_other_events_are_visible_at_once(instance: dg.DagsterInstance) -> None:
    run = start(instance)
    instance.report_engine_event("a step", run)
    instance.report_run_canceled(run)
    assert visible(instance, dg.DagsterEventType.RUN_CANCELED) == [run.run_id]
