"""One `stock-assets ui` runs on an instance."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets.core.errors import AlreadyRunning
from stock_assets.orchestration.instance.ui_lock import hold_ui_lock

# Takes the lock and becomes another program, which prints a line and ends with its input.
UI = """
import os, sys
from pathlib import Path
from stock_assets.orchestration.instance.ui_lock import hold_ui_lock
hold_ui_lock(Path(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", "import sys; print('serving', flush=True); sys.stdin.read()"])
"""


def test_the_lock_is_held_by_the_program_that_the_command_becomes_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UI, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "serving\n"
        with pytest.raises(AlreadyRunning, match=f"^Process {started.pid} of stock-assets ui already runs on"):
            hold_ui_lock(tmp_path)
        started.kill()
    os.close(hold_ui_lock(tmp_path))
