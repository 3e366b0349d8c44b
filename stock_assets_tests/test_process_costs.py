"""Test processes read files that never change once, and leave out modules when they collect garbage."""

import gc
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory


def configuration(folder: Path) -> Config:
    """Return a new configuration of a folder of migration scripts, as each new Dagster instance makes one."""
    folder.mkdir(exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def test_migration_scripts_of_a_folder_are_read_once(tmp_path: Path) -> None:
    first = ScriptDirectory.from_config(configuration(tmp_path / "one"))

    assert ScriptDirectory.from_config(configuration(tmp_path / "one")) is first
    assert ScriptDirectory.from_config(configuration(tmp_path / "two")) is not first


def test_garbage_of_tests_is_collected_and_modules_are_left_out() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000
