"""Both configurations make a real instance, and a folder gets a newer one unless it was edited."""

import subprocess
from pathlib import Path

import dagster as dg

from stock_assets.orchestration.instance.event_log import LocalEventLogStorage
from stock_assets.orchestration.instance.folder import INSTANCE_FILE, SHIPPED_FILE, configure_instance
from stock_assets_tests.support.dagster_internals import QueuedRunCoordinator

OLD = "telemetry: {enabled: false}\n"


def loaded(instance: dg.DagsterInstance) -> None:
    """What both have in common."""
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    pools = instance.get_concurrency_config().pool_config
    assert pools.pool_granularity is not None
    assert (pools.pool_granularity.value, pools.default_pool_limit) == ("run", 1)


def test_the_local_configuration_makes_an_instance(tmp_path: Path) -> None:
    configure_instance(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        loaded(instance)
        assert isinstance(instance.event_log_storage, LocalEventLogStorage)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4


def test_an_untouched_file_is_renewed_and_an_edited_one_is_kept(tmp_path: Path) -> None:
    configure_instance(tmp_path)
    file, kept = tmp_path / INSTANCE_FILE, tmp_path / SHIPPED_FILE
    newest, its_hash = file.read_text(), kept.read_text()
    file.write_text(OLD)
    configure_instance(tmp_path)
    assert file.read_text() == OLD
    kept.write_text("d1d7b9cd3f9dcb0b6bc8ab4cb7dc8d1b")
    configure_instance(tmp_path)
    assert file.read_text() == OLD
    kept.write_text(_hash(OLD))
    configure_instance(tmp_path)
    assert (file.read_text(), kept.read_text()) == (newest, its_hash)


def _hash(text: str) -> str:
    return subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout.split()[0]  # noqa: S607


def test_the_production_configuration_makes_an_instance_on_postgres(production_folder: Path) -> None:
    with dg.DagsterInstance.from_config(str(production_folder)) as instance:
        loaded(instance)
        assert type(instance.compute_log_manager).__name__ == "S3ComputeLogManager"
        assert {type(storage).__name__ for storage in (instance.run_storage, instance.schedule_storage)} == {
            "PostgresRunStorage",
            "PostgresScheduleStorage",
        }
        assert type(instance.event_log_storage).__name__ == "PostgresSettledEventLogStorage"
        instance.report_runless_asset_event(dg.AssetMaterialization("one"))
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
