"""Ticks leave little in Dagster's folder: no file without news, since Dagster never deletes one, and few rows."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml

from stock_assets.core.sql import bundled
from stock_assets.coverage.catch_up import CatchUpWindow
from stock_assets.orchestration.jobs.daily_prices import daily_job
from stock_assets.orchestration.jobs.report import report_job
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets.orchestration.sensors.catch_up import catch_up_sensor
from stock_assets.orchestration.sensors.freshness import freshness_sensor
from stock_assets.orchestration.sensors.landing_files import landing_files_sensor
from stock_assets.orchestration.sensors.metrics import metrics_sensor
from stock_assets.orchestration.sensors.report import report_sensor
from stock_assets_tests.support.scenes import FIRST_WEEK, Scene, wavy_source
from stock_assets_tests.support.steps import as_pipeline, local_backend

FIRST, LAST = FIRST_WEEK[0], FIRST_WEEK[-1]
SENSORS = (
    alert_sensor(AlertContext([], "http://dagster.example/")),
    catch_up_sensor(daily_job(), CatchUpWindow(FIRST, LAST, 10)),
    freshness_sensor(),
    landing_files_sensor(daily_job(), date(2000, 3, 1), LAST),
    metrics_sensor(lambda _: None, grows=True),
    report_sensor(report_job()),
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A week is published."""
    scene = Scene(local_backend(tmp_path_factory.mktemp("scene")), wavy_source())
    scene.run(FIRST_WEEK)
    return scene


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_tick_without_news_leaves_no_file(sensor: dg.SensorDefinition, scene: Scene, tmp_path: Path) -> None:
    resources = {"pipeline": dg.ResourceDefinition.hardcoded_resource(as_pipeline(scene))}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with dg.SensorEvaluationContext(
            instance_ref=instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            log_key=["stock_assets", sensor.name, "1"],
            repository_name="stock_assets",
            sensor_name=sensor.name,
            resources=resources,
        ) as context:
            tick = sensor.evaluate_tick(context)

        assert tick.log_key is None
        assert not list(tmp_path.rglob("*.err"))


def test_the_local_instance_keeps_few_skipped_ticks() -> None:
    """Each takes 1.3 kB."""
    instance = yaml.safe_load(bundled("infra/local").joinpath("dagster.yaml").read_text(encoding="utf-8"))
    days = instance["retention"]["sensor"]["purge_after_days"]["skipped"]

    assert days * sum(24 * 3600 // (sensor.minimum_interval_seconds or 30) for sensor in SENSORS) <= 10_000
