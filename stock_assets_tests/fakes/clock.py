"""A fake clock that moves only when threads sleep; any number of threads can share it."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from stock_assets.ingest.sending_threads import SendingThreads

_PATIENCE_SECONDS = 20.0
"""Real time after which a participant that neither sleeps nor leaves counts as lost."""
_FOREVER = datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")


class FakeClock:
    """Time passes only when every participant sleeps: then it moves to the time at which the first one wakes.

    Attributes:
        slept: seconds of every sleep, in order.
    """

    def __init__(self, start: datetime, participants: int = 1) -> None:
        self.slept: list[float] = []
        self._time = start.astimezone(UTC)
        self._participants = participants
        self._wakings: dict[int, tuple[datetime, Callable[[], bool]]] = {}
        self._changed = threading.Condition()

    def now(self) -> datetime:
        """Return the time of the clock."""
        with self._changed:
            return self._time

    def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved by that many seconds."""
        self.slept.append(seconds)
        self.wait_for(lambda: False, seconds)

    def wait_for(self, event: Callable[[], bool], seconds: float | None) -> None:
        """Wait until another participant's action makes an event true, or the clock has moved by some seconds."""
        me = threading.get_ident()
        with self._changed:
            wake = _FOREVER if seconds is None else self._time + timedelta(seconds=seconds)
            self._wakings[me] = wake, event
            self._advance()
            woke = self._changed.wait_for(lambda: self._time >= wake or event(), timeout=_PATIENCE_SECONDS)
            del self._wakings[me]
        if not woke:
            raise TimeoutError("another participant neither sleeps nor leaves")

    def join(self) -> None:
        """Make the clock wait for one more thread."""
        with self._changed:
            self._participants += 1

    def leave(self) -> None:
        """Stop taking part: the clock no longer waits for this thread."""
        with self._changed:
            self._participants -= 1
            self._advance()
            self._changed.notify_all()

    def set(self, timestamp: datetime) -> None:
        """Set the clock."""
        with self._changed:
            self._time = timestamp.astimezone(UTC)

    def _advance(self) -> None:
        sleeping = [wake for wake, event in self._wakings.values() if wake > self._time and not event()]
        if sleeping and len(sleeping) >= self._participants:
            self._time = min(sleeping)
            self._changed.notify_all()


class SimulatedThreads(SendingThreads[T]):
    """Threads that take part in a fake clock: it does not move while one of them works."""

    def __init__(self, clock: FakeClock, size: int) -> None:
        super().__init__(size)
        self._clock = clock

    @classmethod
    def with_clock(cls, clock: FakeClock) -> type["SimulatedThreads[Any]"]:
        """Return the class with a clock, in place of `SendingThreads`."""

        class WithClock(SimulatedThreads[T]):
            def __init__(self, size: int) -> None:
                super().__init__(clock, size)

        return WithClock

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Let the clock wait for the request, unless this thread runs it."""
        if self._pool is None:
            return super().submit(work)
        self._clock.join()

        future = super().submit(work)
        # The clock must not move before the thread that waits for the result can see it.
        future.add_done_callback(lambda _: self._clock.leave())
        return future

    def wait(self, running: "Collection[Future[T]]", seconds: float | None) -> "set[Future[T]]":
        """Wait by the clock."""
        self._clock.wait_for(lambda: any(future.done() for future in running), seconds)
        return super().wait(running, 0)
