"""DuckDB prints no progress bar between the lines of a log."""

import subprocess
import sys
from pathlib import Path

# DuckDB decides by `__main__.__file__`, which neither this command nor a process that Dagster spawns has.
COMMAND = """
from pathlib import Path
from stock_assets.backends.local.backend import LocalBackend

with LocalBackend(Path({root!r})).warehouse.connect("load_1") as sql:
    print(sql.query("SELECT CURRENT_SETTING('enable_progress_bar') AS x").to_pylist())
"""


def test_a_process_that_duckdb_takes_for_an_interactive_one_prints_no_progress_bar(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND.format(root=str(tmp_path))]
    assert subprocess.check_output(command, text=True).strip() == "[{'x': False}]"
