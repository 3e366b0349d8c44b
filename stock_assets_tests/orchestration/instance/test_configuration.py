"""Each configuration constructs a real instance, and a folder gets a newer one unless its file was edited."""

import importlib
import re
import subprocess
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.errors import SettingsError
from stock_assets.core.sql import bundled
from stock_assets.orchestration.instance.dagster_internals import SqliteEventLogStorage
from stock_assets.orchestration.instance.event_log import LocalEventLogStorage
from stock_assets.orchestration.instance.folder import INSTANCE_FILE, SHIPPED_FILE, configure_instance
from stock_assets.orchestration.instance.launcher import CodeServerRunLauncher
from stock_assets.settings import EventLog
from stock_assets_tests.support.dagster_internals import QueuedRunCoordinator

OLD = "telemetry: {enabled: false}\n"


def check_shared_settings(instance: dg.DagsterInstance) -> None:
    """Check what the local and the production instance share."""
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


def test_the_local_configuration_constructs_an_instance(tmp_path: Path) -> None:
    configure_instance(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        check_shared_settings(instance)
        assert isinstance(instance.event_log_storage, LocalEventLogStorage)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 2


def test_an_unedited_file_is_replaced_and_an_edited_one_is_kept(tmp_path: Path) -> None:
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


def test_the_setting_selects_dagsters_own_event_log(tmp_path: Path) -> None:
    configure_instance(tmp_path, EventLog.BUILTIN)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        check_shared_settings(instance)
        assert type(instance.event_log_storage) is SqliteEventLogStorage
    configure_instance(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.event_log_storage) is LocalEventLogStorage


def test_an_edited_file_that_contradicts_the_setting_is_an_error(tmp_path: Path) -> None:
    configure_instance(tmp_path)
    file = tmp_path / INSTANCE_FILE
    file.write_text(f"{file.read_text()}# edited\n")
    with pytest.raises(SettingsError, match=r"STOCK_ASSETS_EVENT_LOG is builtin.*remove event_log_storage"):
        configure_instance(tmp_path, EventLog.BUILTIN)


MOVED = """event_log_storage:
  module: stock_assets.instance.event_log
  class: LocalEventLogStorage
"""


def test_an_edited_file_that_names_a_moved_module_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    file = tmp_path / INSTANCE_FILE
    file.write_text(MOVED)
    with pytest.raises(SettingsError) as raised:
        configure_instance(tmp_path)
    assert str(raised.value) == (
        f"{file} names the module stock_assets.instance.event_log, which has moved; delete the file (it is written "
        "again) and repeat your changes in the new one"
    )
    assert file.read_text() == MOVED


def test_an_unedited_file_that_names_a_moved_module_is_replaced(tmp_path: Path) -> None:
    (tmp_path / INSTANCE_FILE).write_text(MOVED)
    (tmp_path / SHIPPED_FILE).write_text(_hash(MOVED))
    configure_instance(tmp_path)
    assert "stock_assets.orchestration.instance.event_log" in (tmp_path / INSTANCE_FILE).read_text()


@pytest.mark.parametrize("folder", ["local", "aws"])
def test_every_class_that_a_configuration_names_exists(folder: str) -> None:
    text = bundled(f"infra/{folder}").joinpath(INSTANCE_FILE).read_text(encoding="utf-8")
    names = re.findall(r"module: (stock_assets\S+)\n\s+class: (\w+)", text)
    assert names
    for module, name in names:
        if module.endswith(".postgres"):
            pytest.importorskip("dagster_postgres")
        assert hasattr(importlib.import_module(module), name)


def _hash(text: str) -> str:
    return subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout.split()[0]  # noqa: S607


def test_the_production_configuration_constructs_an_instance_on_postgres(production_folder: Path) -> None:
    with dg.DagsterInstance.from_config(str(production_folder)) as instance:
        check_shared_settings(instance)
        assert type(instance.compute_log_manager).__name__ == "S3ComputeLogManager"
        assert type(instance.run_launcher) is CodeServerRunLauncher
        assert instance.run_launcher.supports_check_run_worker_health
        assert {type(storage).__name__ for storage in (instance.run_storage, instance.schedule_storage)} == {
            "PostgresRunStorage",
            "PostgresScheduleStorage",
        }
        assert type(instance.event_log_storage).__name__ == "PostgresSettledEventLogStorage"
        instance.report_runless_asset_event(dg.AssetMaterialization("one"))
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None
