"""Fake clocks, which move only when threads sleep: nothing depends on the speed of the machine."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from stock_assets.ingest.sending_threads import SendingThreads

_PATIENCE_SECONDS = 120.0
"""Real time after which a simulation counts as stuck."""
_FOREVER = datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")


class FakeClock:
    """A clock that every sleep moves at once.

    Attributes:
        slept: seconds of every sleep, in order.
    """

    def __init__(self, start: datetime) -> None:
        self.slept: list[float] = []
        self._time = start.astimezone(UTC)
        self._changed = threading.Condition()

    def now(self) -> datetime:
        """Return the time of the clock."""
        with self._changed:
            return self._time

    def sleep(self, seconds: float) -> None:
        """Move the clock by that many seconds."""
        with self._changed:
            self.slept.append(seconds)
            self._time += timedelta(seconds=seconds)

    def set(self, timestamp: datetime) -> None:
        """Set the clock."""
        with self._changed:
            self._time = timestamp.astimezone(UTC)


class SharedClock(FakeClock):
    """A clock of several threads, which work one at a time: every run of a simulation is the same.

    A thread works until it sleeps or ends. Then the thread works that has waited longest and need not wait any more; if
    all must wait, the clock moves to the time at which the first one wakes.
    """

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self._me = threading.local()
        self._joined = 0
        self._turn: int | None = None
        self._waiting: dict[int, tuple[datetime, Callable[[], bool]]] = {}

    def run(self, *programs: Callable[[], T]) -> list[T]:
        """Run each program in a thread; return their results."""
        with ThreadPoolExecutor(len(programs)) as threads:
            running = [threads.submit(partial(self._take_part, self.join(), program)) for program in programs]
            with self._changed:
                self._next_turn()
            return [future.result() for future in running]

    def sleep(self, seconds: float) -> None:
        """Let the others work until the clock has moved by that many seconds."""
        self.slept.append(seconds)
        self.wait_for(lambda: False, seconds)

    def wait_for(self, event: Callable[[], bool], seconds: float | None) -> None:
        """Let the others work until one of them makes an event true, or the clock has moved by some seconds."""
        with self._changed:
            wake = _FOREVER if seconds is None else self._time + timedelta(seconds=seconds)
            self._waiting[self._me.number] = wake, event
            self._next_turn()
        self.begin(self._me.number)

    def join(self) -> int:
        """Return the number of one more thread, which has to `begin`."""
        with self._changed:
            self._joined += 1
            self._waiting[self._joined] = self._time, lambda: True
            return self._joined

    def begin(self, number: int) -> None:
        """Wait until it is the turn of this thread."""
        self._me.number = number
        with self._changed:
            if not self._changed.wait_for(lambda: self._turn == number, timeout=_PATIENCE_SECONDS):
                raise TimeoutError("another thread neither sleeps nor ends")

    def leave(self) -> None:
        """Let the others work; this thread has ended."""
        with self._changed:
            self._next_turn()

    def _take_part(self, number: int, program: Callable[[], T]) -> T:
        self.begin(number)
        try:
            return program()
        finally:
            self.leave()

    def _next_turn(self) -> None:
        self._turn = None
        if not any(self._ready(number) for number in self._waiting):
            wakings = [wake for wake, _ in self._waiting.values() if wake < _FOREVER]
            self._time = min(wakings, default=self._time)
        self._turn = next((number for number in self._waiting if self._ready(number)), None)
        if self._turn is not None:
            del self._waiting[self._turn]
        self._changed.notify_all()

    def _ready(self, number: int) -> bool:
        wake, event = self._waiting[number]
        return wake <= self._time or event()


class SimulatedThreads(SendingThreads[T]):
    """Threads that take part in a shared clock: it does not move while one of them works."""

    def __init__(self, clock: SharedClock, size: int) -> None:
        super().__init__(size)
        self._clock = clock

    @classmethod
    def with_clock(cls, clock: SharedClock) -> type["SimulatedThreads[Any]"]:
        """Return the class with a clock, in place of `SendingThreads`."""

        class WithClock(SimulatedThreads[T]):
            def __init__(self, size: int) -> None:
                super().__init__(clock, size)

        return WithClock

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Let the request take part, unless this thread runs it."""
        if self._pool is None:
            return super().submit(work)
        number = self._clock.join()

        def begin() -> T:
            self._clock.begin(number)
            return work()

        future = super().submit(begin)
        # The next thread must not work before it can see the result.
        future.add_done_callback(lambda _: self._clock.leave())
        return future

    def wait(self, running: "Collection[Future[T]]", seconds: float | None) -> "set[Future[T]]":
        """Wait by the clock."""
        self._clock.wait_for(lambda: any(future.done() for future in running), seconds)
        return super().wait(running, 0)
