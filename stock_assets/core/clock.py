"""The current time as a value that can be passed on: functions that depend on it take a `Clock`.

Belongs here: reading the machine's clock. Does not belong here: the times of sessions (`calendar`).
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, time zone aware, in UTC."""


def utc_now() -> datetime:
    """Return the time of the machine's clock."""
    return datetime.now(UTC)
