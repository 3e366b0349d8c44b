"""The lock that lets one `stock-assets ui` run on an instance: two daemons would work on the same runs.

Belongs here: taking the lock, and the message about who holds it. Does not belong here: starting the UI
(`cli.operate`). The operating system releases the lock when its process ends, also if the process is killed.
"""

import fcntl
import os
from pathlib import Path

from stock_assets.core.errors import AlreadyRunning

LOCK_FILE = "ui.lock"


def hold_ui_lock(instance_dir: Path) -> int:
    """Take the lock until this process ends, also if it becomes another program; return the file's descriptor.

    Raises:
        AlreadyRunning: another process holds the lock.
    """
    descriptor = os.open(instance_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
        os.close(descriptor)
        raise AlreadyRunning(
            f"Process {holder} of stock-assets ui already runs on {instance_dir}, and two daemons must not work on the "
            "same runs. Open its page, or end it first."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 (the parameter has no name)
    return descriptor
