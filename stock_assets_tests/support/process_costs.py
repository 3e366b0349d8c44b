"""What makes a test process faster without changing what a test sees.

Belongs here: caches of files that no test changes, and the garbage collector. Does not belong here: fixtures with data
(`published_week`, `recorded_backend`).
"""

import gc

from alembic.config import Config
from alembic.script import ScriptDirectory


def cache_migration_scripts() -> None:
    """Read the migration scripts of Dagster's tables once per process; no test changes these files.

    Each new instance reads all of them for each of its databases, which takes two thirds of the CPU time of an instance
    in memory.
    """
    read, directories = ScriptDirectory.from_config, dict[tuple[str | None, str | None], ScriptDirectory]()

    def from_config(config: Config) -> ScriptDirectory:
        key = config.config_file_name, config.get_main_option("script_location")
        if key not in directories:
            directories[key] = read(config)
        return directories[key]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]  # a function instead of a class method


def collect_no_garbage() -> None:
    """Switch the garbage collector off while modules are imported and tests are collected: none becomes garbage."""
    gc.disable()


def collect_garbage_of_tests() -> None:
    """Switch the garbage collector on, for the objects that tests create.

    The modules and the collected tests are 600,000 objects that stay until the process ends. Without `freeze`, each
    full collection visits all of them: 5% of the time of all tests, and pauses of up to 5 seconds on a busy machine.
    """
    gc.freeze()
    gc.enable()
