"""Gates: places at which a test can stop another process, and kill it.

A closed gate is a file in the folder that the environment names. A process that reaches it writes its id next to it,
and waits until the file is deleted. The test closes a gate before it starts a process.
"""

import os
import time
from pathlib import Path

FOLDER_VARIABLE = "STOCK_ASSETS_TEST_GATES"
STARTED_VARIABLE = "STOCK_ASSETS_TEST_STARTED"
"""Environment variable with the start of the test: no session that closes later becomes due."""
GATES = ("raw", "staged", "audits", "publish", "between_commits")
"""Gates in the order of the data path: one inside each step, and one between the two commits of publishing."""
NOTIFIED = "notified"
"""Between the delivery of a message and its record."""
FAILED = "failed"
"""Between the event of a run's failure and the run's status."""
_POLL_SECONDS = 0.02


def pass_gate(name: str) -> None:
    """Wait while the gate is closed."""
    folder = Path(os.environ[FOLDER_VARIABLE])
    closed = folder / name
    if closed.exists():
        (folder / f"{name}.{os.getpid()}").touch()
    while closed.exists():
        time.sleep(_POLL_SECONDS)
