"""The sensor that draws the report: after each change of published rows, and not otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import MAINTENANCE, Backend
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.core.universe import Listing
from stock_assets.orchestration.jobs.report import JOB_NAME, report_job
from stock_assets.orchestration.run_requests import run_in_progress
from stock_assets.orchestration.sensors.report import report_sensor
from stock_assets_tests.support.dagster_runs import WiredScene, leave_run, pipeline
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source
from stock_assets_tests.support.steps import as_pipeline


@pytest.fixture
def scene(backend: Backend) -> Scene:
    """Return a scene without published rows."""
    return Scene(backend, calm_source())


class Ticks:
    """Ticks of the sensor, each with the cursor of the previous one."""

    def __init__(self, scene: Scene, instance: dg.DagsterInstance) -> None:
        self._scene = scene
        self._instance = instance
        self._cursor: str | None = None
        self.reason = ""

    def draws(self) -> bool:
        """Evaluate the sensor; return whether it requests a run of the report."""
        resources = {"pipeline": as_pipeline(self._scene)}
        with dg.build_sensor_context(instance=self._instance, cursor=self._cursor, resources=resources) as context:
            result = report_sensor(report_job())(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor or self._cursor
        self.reason = str(result.skip_reason.skip_message) if isinstance(result.skip_reason, dg.SkipReason) else ""
        assert all(request.run_key is None for request in result.run_requests or [])
        return bool(result.run_requests)


@pytest.fixture
def wired(scene: Scene, tmp_path: Path) -> WiredScene:
    """Return the definitions, wired to the scene."""
    return pipeline(scene, tmp_path)


@pytest.fixture
def ticks(wired: WiredScene, scene: Scene) -> Ticks:
    """Return the ticks of the sensor."""
    return Ticks(scene, wired.instance)


def test_it_draws_once_after_each_change(scene: Scene, ticks: Ticks) -> None:
    assert not ticks.draws()
    assert ticks.reason == "Nothing is published yet."
    scene.run(FIRST_WEEK)
    assert [ticks.draws(), ticks.draws()] == [True, False]
    assert ticks.reason == "No published row has changed since the last report."

    scene.run(FIRST_WEEK)
    assert not ticks.draws(), "the same rows were published again"
    scene.run(SECOND_WEEK)
    assert [ticks.draws(), ticks.draws()] == [True, False]


def test_it_draws_after_a_change_of_quarantined_bars_only(scene: Scene, ticks: Ticks) -> None:
    scene.run(FIRST_WEEK)
    assert ticks.draws()
    before = scene.backend.warehouse.history(DAILY_PRICES)
    scene.source.set_bars("NEW", {FIRST_WEEK[0]: BAD_BAR})
    scene.change(universe=replace(scene.universe, listings=(*scene.universe.listings, Listing("NEW", "New"))))
    scene.run(FIRST_WEEK)
    assert scene.backend.warehouse.history(DAILY_PRICES) == before
    assert ticks.draws()


def test_it_draws_after_a_rollback_also_to_a_state_that_was_drawn_before(scene: Scene, ticks: Ticks) -> None:
    drawn = []
    for week in (FIRST_WEEK, SECOND_WEEK):
        scene.run(week)
        drawn.append(ticks.draws())
    newest, first = (snapshot.snapshot_id for snapshot in scene.backend.warehouse.history(DAILY_PRICES))
    for snapshot in (first, newest, first):
        scene.backend.warehouse.rollback(DAILY_PRICES, snapshot)
        drawn.append(ticks.draws())
    assert drawn == [True] * 5


def test_it_does_not_draw_after_maintenance(scene: Scene, ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run(TWO_WEEKS)
    assert ticks.draws()
    warehouse = scene.backend.warehouse
    [published] = warehouse.history(DAILY_PRICES)
    compacted = replace(published, snapshot_id=1, properties={MAINTENANCE: "compaction"})
    quarantine = warehouse.history(QUARANTINED_PRICES)
    histories = {DAILY_PRICES: [compacted, replace(published, is_current=False)], QUARANTINED_PRICES: quarantine}
    monkeypatch.setattr(type(warehouse), "history", lambda _, table: histories[table])
    assert not ticks.draws()


def test_it_waits_for_loads_and_loads_do_not_wait_for_it(wired: WiredScene, scene: Scene, ticks: Ticks) -> None:
    scene.run(FIRST_WEEK)
    load = leave_run(wired.instance, dg.DagsterRunStatus.STARTED)
    assert not ticks.draws()
    assert ticks.reason.startswith("Published rows have changed; run ")
    wired.instance.delete_run(load.run_id)
    assert ticks.draws()

    wired.instance.add_run(dg.DagsterRun(job_name=JOB_NAME, status=dg.DagsterRunStatus.STARTED))
    assert run_in_progress(wired.instance, datetime.now(UTC) + timedelta(hours=1)) is None


def test_the_job_draws_the_report_and_nothing_else(wired: WiredScene, scene: Scene) -> None:
    scene.run(FIRST_WEEK)
    job = wired.definitions.resolve_job_def(JOB_NAME)
    result = job.execute_in_process(instance=wired.instance)
    assert [event.step_key for event in result.all_events if event.is_step_success] == ["report"]
    [stored] = scene.backend.objects.keys("reports/prices/")
    assert scene.backend.objects.get(stored).startswith(b"<!doctype html>")
