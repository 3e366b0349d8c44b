"""The metrics for alarms outside the pipeline: a heartbeat, failed runs, late sessions."""

from dataclasses import replace

import dagster as dg
import pytest
from pydantic import ValidationError

from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.sensors.metrics import measure, metrics_sensor
from stock_assets.settings import Settings
from stock_assets_tests.support.incidents import AT, INCIDENT
from stock_assets_tests.support.live_source import utc
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

FRESH_UNTIL = utc("2012-03-16 00:00")
"""Midnight after the session that follows the published ones."""


def test_late_sessions_are_counted_by_the_calendar(backend: Backend) -> None:
    assert measure(backend, FRESH_UNTIL, grows=True)["LateSessions"] == 0  # never published: nobody waits
    Scene(backend, calm_source()).run(TWO_WEEKS)
    assert measure(backend, utc("2012-03-15 23:59"), grows=True)["LateSessions"] == 0
    assert measure(backend, FRESH_UNTIL, grows=True)["LateSessions"] == 1
    assert measure(backend, utc("2012-03-20 12:00"), grows=True)["LateSessions"] == 3  # without the weekend
    assert measure(backend, utc("2012-03-20 12:00"), grows=False)["LateSessions"] == 0


def test_failed_runs_count_until_they_are_resolved(backend: Backend) -> None:
    notifier = Notifier(backend, [])
    notifier.notify(INCIDENT, AT)
    notifier.notify(replace(INCIDENT, kind="freshness"), AT)
    assert measure(backend, AT, grows=False) == {"Heartbeat": 1, "FailedRuns": 1, "LateSessions": 0}
    notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded")
    assert measure(backend, AT, grows=False)["FailedRuns"] == 0


def test_the_sensor_sends_the_values_and_shows_them(backend: Backend) -> None:
    sent: list[dict[str, int]] = []
    sensor = metrics_sensor(lambda values: sent.append(dict(values)), grows=True, now=lambda: FRESH_UNTIL)
    with dg.build_sensor_context(resources={"pipeline": as_pipeline(Scene(backend, calm_source()))}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "Heartbeat 1, FailedRuns 0, LateSessions 0"
    assert sent == [{"Heartbeat": 1, "FailedRuns": 0, "LateSessions": 0}]


def test_the_sensor_exists_only_with_a_namespace() -> None:
    named = Settings(aws_region="us-east-1", aws_metrics_namespace="stock_assets/recorded")
    assert "metrics" in {sensor.name for sensor in build_definitions(named).sensors or ()}
    assert "metrics" not in {sensor.name for sensor in build_definitions(Settings()).sensors or ()}
    with pytest.raises(ValidationError, match="STOCK_ASSETS_AWS_METRICS_NAMESPACE needs STOCK_ASSETS_AWS_REGION"):
        Settings(aws_metrics_namespace="stock_assets/recorded")
