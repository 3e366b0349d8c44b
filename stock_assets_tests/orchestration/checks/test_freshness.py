"""Freshness of the published table through weekends, holidays and outages."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.freshness import GRACE, expected_session, freshness
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.checks.freshness import CHECK_NAME, LONGEST_CLOSING, freshness_check
from stock_assets.orchestration.keys import asset_key
from stock_assets.orchestration.sensors.freshness import freshness_sensor
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_internals import TimeWindowFreshnessPolicy
from stock_assets_tests.support.live_source import utc
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

LAST = TWO_WEEKS[-1]
FRESH_UNTIL = utc("2012-03-16 00:00")
"""Midnight after the next session, 2012-03-15."""


@pytest.fixture
def published(backend: Backend) -> Backend:
    Scene(backend, calm_source()).run(TWO_WEEKS)
    return backend


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2025-11-26 23:59", date(2025, 11, 25)),
        ("2025-11-27 00:00", date(2025, 11, 26)),
        ("2025-11-28 23:59", date(2025, 11, 26)),  # Thanksgiving was yesterday
        ("2025-11-29 00:00", date(2025, 11, 28)),
        ("2025-12-01 23:59", date(2025, 11, 28)),  # the weekend
        ("2024-04-01 23:59", date(2024, 3, 28)),  # Good Friday and the weekend
        ("2001-09-17 23:59", date(2001, 9, 10)),
    ],
)
def test_the_expected_session_follows_the_calendar(timestamp: str, expected: date) -> None:
    assert expected_session(utc(timestamp)) == expected


def test_no_regular_closing_fails_the_policy() -> None:
    spec = live_definitions().resolve_asset_graph().get(asset_key(DAILY_PRICES))
    policy = spec.freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    sessions = sessions_between(date(2013, 1, 2), date(2030, 12, 31))
    longest = max(after - before for before, after in pairwise(sessions))
    assert longest == LONGEST_CLOSING
    assert longest + GRACE < policy.fail_window.to_timedelta() < longest + timedelta(hours=12)


def live_definitions() -> dg.Definitions:
    """Return the definitions of a source that grows."""
    return build_definitions(Settings(source=SourceName.ALPHA_VANTAGE))


def test_a_recording_has_no_freshness_check() -> None:
    recorded = build_definitions(Settings())
    graph = recorded.resolve_asset_graph()
    assert graph.get(asset_key(DAILY_PRICES)).freshness_policy is None
    assert CHECK_NAME not in {key.name for key in graph.asset_check_keys}
    assert CHECK_NAME in {key.name for key in live_definitions().resolve_asset_graph().asset_check_keys}


def test_a_table_is_fresh_until_the_next_session_is_due(published: Backend) -> None:
    assert freshness(published, FRESH_UNTIL - timedelta(seconds=1)).is_fresh
    late = freshness(published, FRESH_UNTIL)
    assert not late.is_fresh
    assert late.summary == "session 2012-03-15 should be published and is not; the latest is 2012-03-14"


def test_a_table_that_was_never_published_is_neither_fresh_nor_late(backend: Backend) -> None:
    empty = freshness(backend, FRESH_UNTIL)
    assert (empty.is_fresh, empty.is_late) == (False, False)
    assert empty.summary.startswith("nothing is published yet")


def test_the_sensor_says_nothing_about_a_table_that_was_never_published(backend: Backend) -> None:
    channel = RecordingChannel()
    sensor = freshness_sensor(channels=[channel], now=lambda: FRESH_UNTIL)
    with dg.build_sensor_context(resources={"pipeline": as_pipeline(Scene(backend, calm_source()))}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    assert result.asset_events == []
    assert isinstance(result.skip_reason, dg.SkipReason)
    assert str(result.skip_reason.skip_message).startswith("nothing is published yet")
    assert channel.sent == []


def test_the_check_warns_and_states_a_remedy(published: Backend) -> None:
    result = freshness_check(now=lambda: FRESH_UNTIL)(as_pipeline(Scene(published, calm_source())))
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "catch_up" in str(result.metadata["remedy"])


def test_the_sensor_writes_a_check_result_only_when_it_changes(published: Backend, tmp_path: Path) -> None:
    clock = [FRESH_UNTIL - timedelta(minutes=1)]
    sensor = freshness_sensor(now=lambda: clock[0])
    cursor, results = None, []
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        for minutes in (0, 15, 30, 45):
            clock[0] = FRESH_UNTIL + timedelta(minutes=minutes - 20)
            with dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"pipeline": as_pipeline(Scene(published, calm_source()))}
            ) as context:
                result = sensor(context)
            assert isinstance(result, dg.SensorResult)
            cursor = result.cursor or cursor
            results += [event.passed for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert results == [True, False]
    assert datetime.now(UTC) > FRESH_UNTIL


def test_a_late_table_opens_one_incident_which_is_resolved_once(published: Backend) -> None:
    channel = RecordingChannel()
    clock = [FRESH_UNTIL]
    sensor = freshness_sensor(channels=[channel], now=lambda: clock[0])
    for hours in (-1, 0, 1, 30):
        clock[0] = FRESH_UNTIL + timedelta(hours=hours)
        with dg.build_sensor_context(resources={"pipeline": as_pipeline(Scene(published, calm_source()))}) as context:
            sensor(context)
    [message] = channel.sent
    assert message.title == "stock_assets: published.daily_prices is late"
    assert "session 2012-03-15 should be published and is not" in message.text
    assert "remedy: check the last runs, and the last ticks of the sensor catch_up" in message.text
    clock[0] = FRESH_UNTIL - timedelta(hours=1)
    with dg.build_sensor_context(resources={"pipeline": as_pipeline(Scene(published, calm_source()))}) as context:
        sensor(context)
    assert [sent.title for sent in channel.sent[1:]] == [f"Resolved: {message.title}"]
