"""What time it is, as a value that can be handed over: whoever depends on it takes a `Clock`.

Belongs here: reading the machine's clock. Does not belong here: when sessions are (`sessions`).
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the time now, aware, UTC."""


def utc_now() -> datetime:
    """Read the machine's clock."""
    return datetime.now(UTC)
