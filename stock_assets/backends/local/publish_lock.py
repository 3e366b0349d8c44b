"""The lock that lets one process of this machine publish at a time, from the command line or through Dagster.

Belongs here: waiting for the lock, and the message about who holds it. Does not belong here: taking it
(`process_lock`), what is published.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stock_assets.backends.local.full_disk import typed_full_disk
from stock_assets.backends.local.process_lock import try_to_lock
from stock_assets.core.errors import ConcurrentPublish

LOCK_FILE = "publish.lock"
WAIT_SECONDS = 1800.0
_POLL_SECONDS = 0.1
_log = logging.getLogger(__name__)


@contextmanager
def publishing(
    root: Path, *, longest_seconds: float = WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the lock of a data folder; wait for the process that holds it.

    Raises:
        ConcurrentPublish: another process held the lock all the time.
    """
    with typed_full_disk(root):
        descriptor = os.open(root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with typed_full_disk(root):
            _lock(descriptor, root, longest_seconds, sleep)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, root: Path, longest_seconds: float, sleep: Callable[[float], None]) -> None:
    waited = 0.0
    while holder := try_to_lock(descriptor):
        if waited >= longest_seconds:
            raise ConcurrentPublish(
                f"published.daily_prices was not changed: process {holder} has been publishing into {root} for "
                f"more than {longest_seconds:.0f} s. Wait until it ends, or end it, and run the same command again."
            )
        if not waited:
            _log.warning("Process %s publishes into %s; this publish waits until it ends.", holder, root)
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
