"""The weekly maintenance: what it deletes, what it keeps, and what the UI shows."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.loads.load import drop_incomplete_loads, drop_old_loads
from stock_assets.orchestration.instance.folder import configure_instance
from stock_assets.orchestration.jobs.maintenance import JOB_NAME, delete_old_runs
from stock_assets.orchestration.keys import asset_key
from stock_assets_tests.support.dagster_runs import STAGED, WiredScene, checks, pipeline
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source

WEEK = timedelta(days=7)


@pytest.fixture
def scene(backend: Backend) -> Scene:
    """Return a scene with the responses of two weeks."""
    scene = Scene(backend, calm_source())
    scene.fetch(TWO_WEEKS)
    return scene


@pytest.fixture
def running(scene: Scene, tmp_path: Path) -> Iterator[WiredScene]:
    """Return the definitions on the instance of the local backend."""
    wired = pipeline(scene, tmp_path)
    configure_instance(tmp_path / "instance")
    with dg.DagsterInstance.from_config(str(tmp_path / "instance")) as instance:
        yield WiredScene(wired.definitions, instance)


def delete_all_old(running: WiredScene, before: datetime | None = None) -> int:
    keys = running.definitions.resolve_asset_graph().asset_check_keys
    return delete_old_runs(running.instance, keys, before=before or datetime.now(UTC) + timedelta(minutes=1))


def test_a_run_is_deleted_when_later_runs_have_all_its_partitions_and_checks(running: WiredScene) -> None:
    selection = STAGED | dg.AssetSelection.checks_for_assets(asset_key(STAGED_PRICES))
    superseded = running.run(selection, FIRST_WEEK)
    needed = [running.run(selection, FIRST_WEEK), running.run(selection, SECOND_WEEK)]
    key = asset_key(STAGED_PRICES)
    before = running.instance.get_materialized_partitions(key)

    assert delete_all_old(running) == 1

    assert {run.run_id for run in running.instance.get_runs()} == {result.run_id for result in needed}
    assert superseded.run_id not in {run.run_id for run in needed}
    assert running.instance.get_materialized_partitions(key) == before == {str(day) for day in TWO_WEEKS}
    results = running.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(key, name) for name in checks(needed[1])]
    )
    assert len(results) == len(checks(needed[1])) > 10
    assert delete_all_old(running) == 0


def test_new_and_unfinished_runs_are_kept(running: WiredScene) -> None:
    for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.FAILURE):
        running.instance.add_run(dg.DagsterRun(job_name="some", status=status))

    assert delete_all_old(running, before=datetime.now(UTC) - timedelta(days=1)) == 0
    assert delete_all_old(running) == 1
    assert {run.status for run in running.instance.get_runs()} == {
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    }


def test_leftovers_of_killed_runs_in_staging_are_deleted_when_they_are_old(scene: Scene, tmp_path: Path) -> None:
    noted = scene.stage(FIRST_WEEK)
    lost = scene.stage(SECOND_WEEK)
    for key in scene.backend.objects.keys(f"staged/loads/{lost.start_date}_{lost.end_date}/"):
        scene.backend.objects.delete(key)
    now = datetime.now(UTC)
    scene.backend.objects.put("reports/prices/1.html", b"complete")
    partial = [tmp_path / "backend" / folder / ".partial-killed" for folder in ("raw", "reports/prices")]
    for file in partial:
        file.write_bytes(b"half")

    assert drop_incomplete_loads(scene.backend, older_than=WEEK, now=now) == 0
    assert scene.backend.warehouse.staged_loads() == sorted([noted.load_id, lost.load_id])
    for file in partial:
        os.utime(file, (0, 0))
    assert drop_incomplete_loads(scene.backend, older_than=WEEK, now=now) == 2
    assert [file for file in partial if file.exists()] == []

    assert drop_incomplete_loads(scene.backend, older_than=WEEK, now=now + 2 * WEEK) == 1
    assert scene.backend.warehouse.staged_loads() == [noted.load_id]
    assert drop_old_loads(scene.backend, older_than=WEEK, now=now + 2 * WEEK) == 1
    assert scene.backend.warehouse.staged_loads() == []


def test_the_job_shows_its_result_and_uses_the_pool_of_publishing(scene: Scene, tmp_path: Path) -> None:
    scene.run(TWO_WEEKS)
    wired = pipeline(scene, tmp_path)
    job = wired.definitions.resolve_job_def(JOB_NAME)
    assert {node.definition.pool for node in job.nodes if isinstance(node.definition, dg.OpDefinition)} == {"publish"}

    result = job.execute_in_process(instance=wired.instance)

    [output] = [event.step_output_data for event in result.all_events if event.is_successful_output]
    assert output.metadata["runs deleted"].value == 0
    assert output.metadata["loads dropped"].value == 0
    assert f"| {DAILY_PRICES.full_name} | 1 to 1 |" in str(output.metadata["published tables"].value)
