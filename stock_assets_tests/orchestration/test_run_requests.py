"""A run key that Dagster would silently ignore is never requested, also if earlier runs were deleted."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.alerts.deduplication import Notifier
from stock_assets.coverage.run_specs import RunSpec
from stock_assets.orchestration.instance.dagster_internals import AUTO_RETRY_RUN_ID_TAG, RUN_KEY_TAG
from stock_assets.orchestration.killed_runs import RETRY_DECIDED_WITHIN
from stock_assets.orchestration.run_requests import RUN_DELAYS, build_run_requests, notify_given_up, run_in_progress
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import leave_killed_run, leave_run
from stock_assets_tests.support.steps import local_backend

SENSOR = "catch_up"
SPEC = RunSpec(date(2024, 3, 1), date(2024, 3, 4), {"request_symbols": []}, "state")
LONG_AFTER = datetime.now(UTC) + timedelta(days=365)


def request(instance: dg.DagsterInstance, spec: RunSpec = SPEC) -> dg.RunRequest | None:
    """Return the request for a spec, long after all delays."""
    requests = build_run_requests(instance, SENSOR, [spec], LONG_AFTER).requests
    return requests[0] if requests else None


def launch(instance: dg.DagsterInstance, requested: dg.RunRequest) -> None:
    """Leave an ended run, as the daemon would; like the daemon, reject a key that a run has already."""
    assert requested.run_key is not None
    assert not instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: requested.run_key})), "silently ignored"
    leave_run(instance, dg.DagsterRunStatus.FAILURE, {**requested.tags, RUN_KEY_TAG: requested.run_key})


def test_a_tick_that_is_evaluated_twice_requests_the_same_run() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = request(instance), request(instance)
        assert first is not None
        assert second is not None
        assert first.run_key == second.run_key


def test_a_deleted_run_does_not_lead_to_a_key_that_a_later_run_has() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            requested = request(instance)
            assert requested is not None
            launch(instance, requested)
        instance.delete_run(instance.get_run_records(ascending=True)[0].dagster_run.run_id)
        requested = request(instance)
        assert requested is not None
        assert requested.run_key == "catch_up 2024-03-01..2024-03-04 state 3"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.just(None), st.integers(0, 9)), max_size=16))
def test_no_history_of_runs_and_deletions_leads_to_a_key_in_use(history: list[int | None]) -> None:
    """None requests and launches a run; a number deletes one of the remaining runs."""
    with dg.DagsterInstance.ephemeral() as instance:
        for deleted in history:
            runs = instance.get_run_records(ascending=True)
            if deleted is not None:
                if deleted < len(runs):
                    instance.delete_run(runs[deleted].dagster_run.run_id)
                continue
            requested = request(instance)
            if len(runs) > len(RUN_DELAYS):
                assert requested is None
            else:
                assert requested is not None
                launch(instance, requested)


def test_another_range_of_the_same_state_has_another_key() -> None:
    other = RunSpec(date(2024, 3, 4), date(2024, 3, 4), {}, "state")
    with dg.DagsterInstance.ephemeral() as instance:
        one, two = request(instance), request(instance, other)
        assert one is not None
        assert two is not None
        assert one.run_key != two.run_key


def test_a_killed_run_is_in_progress_until_it_is_retried() -> None:
    """Until the retry exists, no unfinished run is on the instance, and a sensor would request the same run again."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = leave_killed_run(instance)
        now = datetime.now(UTC)
        assert run_in_progress(instance, now) == f"run {run.run_id[:8]} of daily_prices is in progress"
        assert run_in_progress(instance, now + RETRY_DECIDED_WITHIN + timedelta(minutes=1)) is None
        instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "the next"})
        assert run_in_progress(instance, now) is None


def test_a_killed_run_of_the_command_line_is_not_waited_for() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        leave_killed_run(instance, origin=None)
        assert run_in_progress(instance, datetime.now(UTC)) is None


def test_an_alert_is_sent_when_no_more_runs_are_started(tmp_path: Path) -> None:
    channel = RecordingChannel()
    notifier = Notifier(local_backend(tmp_path), [channel])
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(len(RUN_DELAYS) + 1):
            requested = request(instance)
            assert requested is not None
            leave_run(instance, dg.DagsterRunStatus.SUCCESS, {**requested.tags, RUN_KEY_TAG: str(requested.run_key)})
        for _ in range(2):
            found = build_run_requests(instance, SENSOR, [SPEC], LONG_AFTER)
            assert found.requests == []
            opened = notifier.open_incidents()
            assert notify_given_up(notifier, SENSOR, found.given_up, LONG_AFTER, opened=opened) == []
        assert [message.title for message in channel.sent] == [
            "stock_assets: catch_up has stopped starting runs for 2024-03-01 to 2024-03-04"
        ]
        notify_given_up(notifier, SENSOR, [], LONG_AFTER, opened=notifier.open_incidents())
        assert channel.sent[1].title == f"Resolved: {channel.sent[0].title}"
