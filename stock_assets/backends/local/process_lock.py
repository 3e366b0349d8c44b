"""A lock on a file that names the process which holds it.

Belongs here: trying to take the lock. Does not belong here: waiting, and the messages (`publish_lock`,
`orchestration.instance.ui_lock`). The operating system releases the lock when its process ends, also if the process is
killed; the file stays.
"""

import fcntl
import os


def try_to_lock(descriptor: int) -> str:
    """Take the lock of an open file and write the id of this process into it.

    Returns:
        an empty text; if another process holds the lock, its id, or `unknown` if it has not written it yet.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode(errors="replace") or "unknown"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return ""
