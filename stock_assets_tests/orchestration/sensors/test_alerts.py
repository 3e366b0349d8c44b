"""What is recognised in ended runs, and that a run is read once, whatever happens to the sensor."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.alerts.incident import Message
from stock_assets.alerts.notifier import Notifier
from stock_assets.backends.interface import Backend
from stock_assets.core.errors import UnknownSymbol
from stock_assets.loads.audit_files import audits
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets_tests.fakes.channel import RecordingChannel
from stock_assets_tests.support.dagster_runs import CHECKS, STAGED, WiredScene, pipeline
from stock_assets_tests.support.scenes import BAD_BAR, CALM_BAR, FIRST_WEEK, SECOND_WEEK, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline

MONDAY = FIRST_WEEK[2]
[SHARE] = [audit for audit in audits() if audit.name == "quarantined_share_within_limit"]
EVERYTHING = dg.AssetSelection.all()


@dataclass
class Watchman:
    """The sensor on a scene, an instance, and a channel that keeps what it hears."""

    scene: Scene
    pipeline: WiredScene
    ear: RecordingChannel = field(default_factory=RecordingChannel)
    cursor: str | None = None
    at: datetime | None = None
    said: str | None = None

    def tick(self, *, keep_cursor: bool = True) -> list[Message]:
        """Evaluate once; give what is told by that."""
        before = len(self.ear.sent)
        sensor = alert_sensor(
            AlertContext([self.ear], "http://dagster.example/"),
            now=lambda: self.at or datetime.now(UTC),
        )
        resources = {"pipeline": as_pipeline(self.scene)}
        instance = self.pipeline.instance
        with dg.build_sensor_context(instance=instance, resources=resources, cursor=self.cursor) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert isinstance(result.skip_reason, dg.SkipReason)
        self.said = result.skip_reason.skip_message
        if keep_cursor:
            self.cursor = result.cursor
        return self.ear.sent[before:]

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
def watchman(backend: Backend, tmp_path: Path) -> Watchman:
    scene = Scene(backend, calm_source())
    return Watchman(scene, pipeline(scene, tmp_path))


def spoil(scene: Scene) -> None:
    """Make two of five bars of Monday impossible, so that an audit refuses the load."""
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, MONDAY, BAD_BAR)


def test_a_refused_load_is_told_once_with_all_that_is_needed_and_so_is_its_end(watchman: Watchman) -> None:
    spoil(watchman.scene)
    first = watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert not first.success

    [message] = watchman.tick()

    assert message.title == "stock_assets: audits refused the load for 2012-03-01 to 2012-03-07"
    lines = message.text.splitlines()
    assert f"run: {first.run_id}" in lines
    assert "sessions: 2012-03-01 to 2012-03-07" in lines
    audits = lines.index("failed audits:")
    assert lines[audits + 1 : audits + 4] == [
        "  quarantined_share_within_limit: 1 bad row, first: 2012-03-05: 2 of 5 symbols quarantined (2012-03-05)",
        f"    remedy: {SHARE.file.remedy}",
        "    2012-03-05 2 of 5 symbols quarantined",
    ]
    assert lines[-1] == f"http://dagster.example/runs/{first.run_id}"

    assert watchman.tick() == []
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert watchman.tick() == []

    for symbol in ("AAPL", "CSCO"):
        watchman.scene.source.set_bar(symbol, MONDAY, CALM_BAR)
    watchman.scene.deliver_again()
    last = watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert last.success
    [over] = watchman.tick()
    assert over.title == f"Resolved: {message.title}"
    assert last.run_id in over.text
    assert Notifier(watchman.scene.backend, []).open_incidents() == []


def test_a_blocking_check_that_fails_is_told_also_where_nothing_was_to_be_published(watchman: Watchman) -> None:
    spoil(watchman.scene)
    watchman.scene.fetch(FIRST_WEEK)
    watchman.pipeline.run(STAGED | CHECKS, FIRST_WEEK)
    [message] = watchman.tick()
    assert "quarantined_share_within_limit" in message.text


def test_warnings_and_successes_are_told_to_nobody(watchman: Watchman) -> None:
    watchman.scene.source.set_bar("AAPL", MONDAY, BAD_BAR)  # one of five: set aside
    watchman.scene.source.drop_bar("CSCO", MONDAY)  # and one missing
    assert watchman.pipeline.run(EVERYTHING, FIRST_WEEK).success
    assert watchman.tick() == []


def test_a_run_without_any_answer_names_each_symbol_the_reason_and_the_remedy(watchman: Watchman) -> None:
    for symbol in watchman.scene.universe.symbols:
        watchman.scene.source.set_failure(symbol, UnknownSymbol("not known", symbol=symbol))
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    [message] = watchman.tick()
    assert message.title == "stock_assets: raw__daily_prices failed for 2012-03-01 to 2012-03-07"
    [line] = [line for line in message.text.splitlines() if line.startswith("  CSCO: ")]
    assert line.startswith("  CSCO: unknown_symbol, ")
    assert "universe file" in line


def test_a_run_that_ended_without_a_word_is_an_incident(watchman: Watchman) -> None:
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    [message] = watchman.tick()
    assert "ended without a word" in message.text
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert [told.title for told in watchman.tick()] == [f"Resolved: {message.title}"]


def test_a_spoilt_incident_and_a_deaf_channel_are_named_by_the_tick_and_no_run_waits_for_them(
    watchman: Watchman,
) -> None:
    watchman.scene.backend.objects.put("alerts/open/run-0123/incident.json", b"{")
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    assert len(watchman.tick()) == 1
    watchman.ear.broken = True
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert watchman.tick() == []
    assert watchman.said == (
        "1 runs read; not delivered yet: alerts/open/run-0123/incident.json is no incident of this version "
        "(JSONDecodeError); delete it to be rid of this note; not delivered yet: recorder: the channel is broken"
    )


def test_a_failure_waits_until_dagster_has_said_whether_it_repeats_it(
    watchman: Watchman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "run_retries_enabled", property(lambda _: True))
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    assert watchman.tick() == []
    # A later run is not read before it.
    assert watchman.pipeline.run(EVERYTHING, FIRST_WEEK).success
    assert watchman.tick() == []
    watchman.at = datetime.now(UTC) + timedelta(minutes=3)
    assert [message.title.partition(":")[0] for message in watchman.tick()] == ["stock_assets", "Resolved"]


def test_a_kill_before_the_cursor_is_kept_tells_nothing_twice(watchman: Watchman) -> None:
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert len(watchman.tick(keep_cursor=False)) == 2
    assert watchman.tick(keep_cursor=False) == []
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    # The success before it does not end the new one.
    assert len(watchman.tick(keep_cursor=False)) == 1
    assert len(Notifier(watchman.scene.backend, []).open_incidents()) == 1


def test_a_part_of_the_sessions_does_not_end_it(watchman: Watchman) -> None:
    spoil(watchman.scene)
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK)
    assert len(watchman.tick()) == 1
    watchman.pipeline.run(EVERYTHING, FIRST_WEEK[:2])
    watchman.pipeline.run(EVERYTHING, SECOND_WEEK)
    assert watchman.tick() == []


def test_what_a_channel_refused_is_told_by_the_next_look(watchman: Watchman) -> None:
    watchman.ear.broken = True
    watchman.leave(dg.DagsterRunStatus.FAILURE)
    assert watchman.tick() == []
    watchman.ear.broken = False
    assert len(watchman.tick()) == 1
    assert watchman.tick() == []
