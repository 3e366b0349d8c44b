"""Gates: places at which a test can hold another process, and kill it.

A closed gate is a file in the folder that the environment names: a process that comes to it writes its id beside it and
waits until the file is gone. The test closes a gate before it starts anything.
"""

import os
import time
from pathlib import Path

FOLDER_VARIABLE = "STOCK_ASSETS_TEST_GATES"
GATES = ("raw", "staged", "audits", "publish", "between_commits")
"""In the order of the path: amid each step, for publishing also between its two commits."""
TOLD = "told"
"""Between the delivery of a message and the note of it."""
FAILED = "failed"
"""Between the event of a run's failure and the run's status."""
_LOOK_SECONDS = 0.02


def pass_gate(name: str) -> None:
    """Wait as long as the gate is closed."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    closed = folder / name
    if closed.exists():
        (folder / f"{name}.{os.getpid()}").touch()
    while closed.exists():
        time.sleep(_LOOK_SECONDS)
