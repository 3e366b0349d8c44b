"""The lock that lets one `stock-assets ui` run on an instance: two daemons would work on the same runs.

Belongs here: keeping the lock, and the message about who holds it. Does not belong here: taking it
(`backends.local.process_lock`), starting the UI (`cli.operate`).
"""

import os
from pathlib import Path

from stock_assets.backends.local.process_lock import try_to_lock
from stock_assets.core.errors import AlreadyRunning

LOCK_FILE = "ui.lock"


def hold_ui_lock(instance_dir: Path) -> int:
    """Take the lock until this process ends, also if it becomes another program; return the file's descriptor.

    Raises:
        AlreadyRunning: another process holds the lock.
    """
    descriptor = os.open(instance_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    if holder := try_to_lock(descriptor):
        os.close(descriptor)
        raise AlreadyRunning(
            f"Process {holder} of stock-assets ui already runs on {instance_dir}, and two daemons must not work on the "
            "same runs. Open its page, or end it first."
        )
    os.set_inheritable(descriptor, True)  # noqa: FBT003 (the parameter has no name)
    return descriptor
