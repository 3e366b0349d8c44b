"""Run keys: whatever happens to earlier runs, none that Dagster would silently ignore is ever written."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.coverage.run_specs import RunSpec
from stock_assets.orchestration.instance.dagster_internals import AUTO_RETRY_RUN_ID_TAG, RUN_KEY_TAG
from stock_assets.orchestration.retries import RETRY_DECIDED_WITHIN
from stock_assets.orchestration.run_requests import RUN_DELAYS, build_run_requests, run_in_progress
from stock_assets_tests.support.dagster_runs import leave_killed_run, leave_run

SENSOR = "catch_up"
WISH = RunSpec(date(2024, 3, 1), date(2024, 3, 4), {"request_symbols": []}, "state")
LONG_AFTER = datetime.now(UTC) + timedelta(days=365)


def request(instance: dg.DagsterInstance, wish: RunSpec = WISH) -> dg.RunRequest | None:
    """Ask for what is wished, long after everything else."""
    requests, _ = build_run_requests(instance, SENSOR, [wish], LONG_AFTER)
    return requests[0] if requests else None


def launch(instance: dg.DagsterInstance, asked: dg.RunRequest) -> None:
    """Leave an ended run, as the daemon would; like the daemon, refuse a key that a run bears already."""
    assert asked.run_key is not None
    assert not instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: asked.run_key})), "silently ignored"
    leave_run(instance, dg.DagsterRunStatus.FAILURE, {**asked.tags, RUN_KEY_TAG: asked.run_key})


def test_a_tick_that_is_evaluated_twice_asks_for_the_same_run() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = request(instance), request(instance)
        assert first is not None
        assert second is not None
        assert first.run_key == second.run_key


def test_a_deleted_run_does_not_bring_back_a_key_that_a_later_one_bears() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            asked = request(instance)
            assert asked is not None
            launch(instance, asked)
        instance.delete_run(instance.get_run_records(ascending=True)[0].dagster_run.run_id)
        asked = request(instance)
        assert asked is not None
        assert asked.run_key == "catch_up 2024-03-01..2024-03-04 state 3"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.just(None), st.integers(0, 9)), max_size=16))
def test_no_history_of_runs_and_deletions_leads_to_a_key_in_use(history: list[int | None]) -> None:
    """None asks and launches; a number deletes that run of those left."""
    with dg.DagsterInstance.ephemeral() as instance:
        for deleted in history:
            runs = instance.get_run_records(ascending=True)
            if deleted is not None:
                if deleted < len(runs):
                    instance.delete_run(runs[deleted].dagster_run.run_id)
                continue
            asked = request(instance)
            if len(runs) > len(RUN_DELAYS):
                assert asked is None
            else:
                assert asked is not None
                launch(instance, asked)


def test_another_range_of_the_same_state_has_another_key() -> None:
    other = RunSpec(date(2024, 3, 4), date(2024, 3, 4), {}, "state")
    with dg.DagsterInstance.ephemeral() as instance:
        one, two = request(instance), request(instance, other)
        assert one is not None
        assert two is not None
        assert one.run_key != two.run_key


def test_a_killed_run_is_under_way_until_it_is_repeated() -> None:
    """Between the two, nothing unfinished is on the instance, and a sensor would ask for the same once more."""
    with dg.DagsterInstance.ephemeral() as instance:
        run = leave_killed_run(instance)
        now = datetime.now(UTC)
        assert run_in_progress(instance, now) == f"run {run.run_id[:8]} of daily_prices is under way"
        assert run_in_progress(instance, now + RETRY_DECIDED_WITHIN + timedelta(minutes=1)) is None
        instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "the next"})
        assert run_in_progress(instance, now) is None


def test_a_killed_run_of_the_command_line_is_not_waited_for() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        leave_killed_run(instance, origin=None)
        assert run_in_progress(instance, datetime.now(UTC)) is None
