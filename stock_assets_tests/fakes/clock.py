"""A fake clock that moves only when threads sleep; any number of threads can share it."""

import threading
from datetime import UTC, datetime, timedelta

_PATIENCE_SECONDS = 20.0
"""Real time after which a participant that neither sleeps nor leaves counts as lost."""


class FakeClock:
    """Time passes only when every participant sleeps: then it moves to the time at which the first one wakes.

    Attributes:
        slept: seconds of every sleep, in order.
    """

    def __init__(self, start: datetime, participants: int = 1) -> None:
        self.slept: list[float] = []
        self._time = start.astimezone(UTC)
        self._participants = participants
        self._wakings: dict[int, datetime] = {}
        self._changed = threading.Condition()

    def now(self) -> datetime:
        """Return the time of the clock."""
        with self._changed:
            return self._time

    def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved by that many seconds."""
        me = threading.get_ident()
        with self._changed:
            self.slept.append(seconds)
            wake = self._time + timedelta(seconds=seconds)
            self._wakings[me] = wake
            self._advance()
            woke = self._changed.wait_for(lambda: self._time >= wake, timeout=_PATIENCE_SECONDS)
            del self._wakings[me]
        if not woke:
            raise TimeoutError("another participant neither sleeps nor leaves")

    def leave(self) -> None:
        """Stop taking part: the clock no longer waits for this thread."""
        with self._changed:
            self._participants -= 1
            self._advance()

    def set(self, timestamp: datetime) -> None:
        """Set the clock."""
        with self._changed:
            self._time = timestamp.astimezone(UTC)

    def _advance(self) -> None:
        sleeping = [wake for wake in self._wakings.values() if wake > self._time]
        if sleeping and len(sleeping) >= self._participants:
            self._time = min(sleeping)
            self._changed.notify_all()
