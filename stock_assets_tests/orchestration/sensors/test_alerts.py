"""Incidents are recognised in ended runs, and each run is checked once, also if the sensor is killed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Message
from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.errors import UnknownSymbol
from stock_assets.loads.audit_files import audits
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import CHECKS, STAGED, WHOLE_PATH, WiredScene, pipeline
from stock_assets_tests.support.scenes import BAD_BAR, CALM_BAR, FIRST_WEEK, SECOND_WEEK, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

MONDAY = FIRST_WEEK[2]
[SHARE] = [audit for audit in audits() if audit.name == "quarantined_share_within_limit"]

WITHOUT_CHECKS = WHOLE_PATH.without_checks()
"""The same runs in half the time, for tests in which no check matters."""


@dataclass
class AlertRunner:
    """The sensor on a scene, with an instance and a channel that records messages."""

    scene: Scene
    pipeline: WiredScene
    channel: RecordingChannel = field(default_factory=RecordingChannel)
    cursor: str | None = None
    at: datetime | None = None
    summary: str | None = None

    def tick(self, *, keep_cursor: bool = True) -> list[Message]:
        """Evaluate the sensor once; return the messages it sent."""
        before = len(self.channel.sent)
        sensor = alert_sensor(
            AlertContext([self.channel], "http://dagster.example/"),
            now=lambda: self.at or datetime.now(UTC),
        )
        resources = {"pipeline": as_pipeline(self.scene)}
        instance = self.pipeline.instance
        with dg.build_sensor_context(instance=instance, resources=resources, cursor=self.cursor) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert isinstance(result.skip_reason, dg.SkipReason)
        self.summary = result.skip_reason.skip_message
        if keep_cursor:
            self.cursor = result.cursor
        return self.channel.sent[before:]

    def leave(self, status: dg.DagsterRunStatus, tags: dict[str, str] | None = None) -> None:
        """Leave a run of the first week on the instance, without running it."""
        ends = {"start": FIRST_WEEK[0].isoformat(), "end": FIRST_WEEK[-1].isoformat()}
        partitions = {f"dagster/asset_partition_range_{end}": day for end, day in ends.items()}
        self.pipeline.instance.create_run_for_job(
            job_def=dg.Definitions.merge(
                self.pipeline.definitions, dg.Definitions(jobs=[dg.define_asset_job("left", selection=STAGED)])
            ).resolve_job_def("left"),
            tags={**partitions, **(tags or {})},
            status=status,
        )


@pytest.fixture
def alerts(backend: Backend, tmp_path: Path) -> AlertRunner:
    scene = Scene(backend, calm_source())
    return AlertRunner(scene, pipeline(scene, tmp_path))


def spoil(scene: Scene) -> None:
    """Make two of five bars of Monday invalid, so that an audit rejects the load."""
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)


def test_excluded_sessions_open_one_incident_with_every_fact_which_is_resolved_once(alerts: AlertRunner) -> None:
    spoil(alerts.scene)
    first = alerts.pipeline.run(WHOLE_PATH, FIRST_WEEK)
    assert first.success

    [message] = alerts.tick()

    assert message.title == "stock_assets: audits excluded 2012-03-05"
    lines = message.text.splitlines()
    assert f"run: {first.run_id}" in lines
    assert "sessions: 2012-03-05" in lines
    start = lines.index("not published:")
    assert lines[start + 1] == "  Not published: 2012-03-05, rejected by quarantined_share_within_limit."
    finding = lines[start + 2]
    assert finding.startswith("    quarantined_share_within_limit: 2012-03-05: 2 of 5 symbols quarantined")
    for symbol in ("AAPL", "CSCO"):
        key = alerts.scene.backend.ledger.fetches(FetchKind.PRICES, symbol=symbol)[0].response_key
        assert f"{symbol} volume_not_negative: volume -5, response {key}" in finding
    assert f"    What to do: {SHARE.file.remedy}" in lines
    assert "STOCK_ASSETS_MAX_QUARANTINED_SHARE" in SHARE.file.remedy
    assert lines[-1] == f"http://dagster.example/runs/{first.run_id}"

    assert alerts.tick() == []
    alerts.pipeline.run(WHOLE_PATH, FIRST_WEEK)
    assert alerts.tick() == []

    # A run that excludes another session has published this one.
    for symbol in ("AAPL", "CSCO"):
        alerts.scene.source.set_bar(symbol, MONDAY, CALM_BAR)
        alerts.scene.source.set_bar(symbol, FIRST_WEEK[3], BAD_BAR)
    alerts.scene.deliver_again()
    last = alerts.pipeline.run(WHOLE_PATH, FIRST_WEEK)
    opened, resolved = alerts.tick()
    assert opened.title == "stock_assets: audits excluded 2012-03-06"
    assert resolved.title == f"Resolved: {message.title}"
    assert last.run_id in resolved.text
    assert [incident.title for incident in Notifier(alerts.scene.backend, []).open_incidents()] == [opened.title]


def test_a_load_without_any_session_to_publish_is_rejected_with_reasons_and_remedies(alerts: AlertRunner) -> None:
    spoil(alerts.scene)
    assert not alerts.pipeline.run(WHOLE_PATH, [MONDAY]).success
    [message] = alerts.tick()
    assert message.title == "stock_assets: audits rejected the load for 2012-03-05"
    assert "  Not published: 2012-03-05, rejected by quarantined_share_within_limit." in message.text.splitlines()
    assert f"    What to do: {SHARE.file.remedy}" in message.text.splitlines()


def test_a_failed_blocking_check_sends_an_alert_also_if_the_run_does_not_publish(alerts: AlertRunner) -> None:
    spoil(alerts.scene)
    alerts.scene.fetch(FIRST_WEEK)
    alerts.pipeline.run(STAGED | CHECKS, FIRST_WEEK)
    [message] = alerts.tick()
    assert "quarantined_share_within_limit" in message.text


def test_warnings_and_successes_send_no_alert(alerts: AlertRunner) -> None:
    alerts.scene.source.set_bar("AAPL", MONDAY, BAD_BAR)  # one of five: quarantined
    alerts.scene.source.drop_bar("CSCO", MONDAY)  # and one missing
    assert alerts.pipeline.run(WHOLE_PATH, FIRST_WEEK).success
    assert alerts.tick() == []


def test_a_run_without_any_bar_names_each_symbol_with_reason_and_remedy(alerts: AlertRunner) -> None:
    for symbol in alerts.scene.universe.symbols:
        alerts.scene.source.set_failure(symbol, UnknownSymbol("not known", symbol=symbol))
    alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK)
    [message] = alerts.tick()
    assert message.title == "stock_assets: raw__daily_prices failed for 2012-03-01 to 2012-03-07"
    [line] = [line for line in message.text.splitlines() if line.startswith("  CSCO: ")]
    assert line.startswith("  CSCO: unknown_symbol, ")
    assert "universe file" in line


def test_a_run_that_ended_without_an_error_is_an_incident(alerts: AlertRunner) -> None:
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    [message] = alerts.tick()
    assert "ended without an error message" in message.text
    alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK)
    assert [sent.title for sent in alerts.tick()] == [f"Resolved: {message.title}"]


def test_an_unreadable_incident_and_a_failing_channel_are_named_by_the_tick_and_block_no_run(
    alerts: AlertRunner,
) -> None:
    alerts.scene.backend.objects.put("alerts/open/run-0123/incident.json", b"{")
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    assert [message.title[:40] for message in alerts.tick()] == [
        "stock_assets: an open incident cannot be",
        "stock_assets: left failed for 2012-03-01",
    ]
    assert alerts.summary == (
        "1 run checked; not delivered yet: alerts/open/run-0123/incident.json is not an incident of this version "
        "(JSONDecodeError). It was moved to alerts/unreadable/run-0123-021fb596.json"
    )
    alerts.channel.broken = True
    alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK)
    assert alerts.tick() == []
    assert alerts.summary == "1 run checked; not delivered yet: recorder: the channel is broken"


def test_a_failed_run_is_checked_after_dagster_has_decided_whether_to_retry_it(
    alerts: AlertRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", property(lambda _: True))
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    assert alerts.tick() == []
    # A later run is not checked before it.
    assert alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK).success
    assert alerts.tick() == []
    alerts.at = datetime.now(UTC) + timedelta(minutes=3)
    assert [message.title.partition(":")[0] for message in alerts.tick()] == ["stock_assets", "Resolved"]


def test_a_kill_before_the_cursor_is_stored_repeats_no_message(alerts: AlertRunner) -> None:
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK)
    assert len(alerts.tick(keep_cursor=False)) == 2
    assert alerts.tick(keep_cursor=False) == []
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    # The earlier success does not resolve the new incident.
    assert len(alerts.tick(keep_cursor=False)) == 1
    assert len(Notifier(alerts.scene.backend, []).open_incidents()) == 1


def test_success_of_some_sessions_does_not_resolve_the_incident(alerts: AlertRunner) -> None:
    spoil(alerts.scene)
    alerts.pipeline.run(WHOLE_PATH, FIRST_WEEK)
    assert len(alerts.tick()) == 1
    alerts.pipeline.run(WITHOUT_CHECKS, FIRST_WEEK[:2])
    alerts.pipeline.run(WITHOUT_CHECKS, SECOND_WEEK)
    assert alerts.tick() == []


def test_an_undelivered_message_is_sent_by_the_next_tick(alerts: AlertRunner) -> None:
    alerts.channel.broken = True
    alerts.leave(dg.DagsterRunStatus.FAILURE)
    assert alerts.tick() == []
    alerts.channel.broken = False
    assert len(alerts.tick()) == 1
    assert alerts.tick() == []
