"""The objects of a bucket whose requests take simulated time, and a lock whose waiting threads let the clock move."""

import threading
from collections.abc import Callable
from types import TracebackType
from uuid import uuid4

from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets_tests.fakes.clock import SharedClock


class SlowBucket(S3Objects):
    """Conditional reads and writes in memory, as S3 does them.

    Attributes:
        writes: number of writes, also of rejected ones.
        reads: number of reads.
    """

    def __init__(self, clock: SharedClock, write_seconds: Callable[[], float], read_seconds: float = 0.015) -> None:
        self.writes = self.reads = 0
        self._clock = clock
        self._write_seconds = write_seconds
        self._read_seconds = read_seconds
        self._stored: dict[str, tuple[bytes, str]] = {}

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Read an object after some time."""
        self.reads += 1
        self._clock.sleep(self._read_seconds)
        return self._stored[key]

    def put_version(self, key: str, body: bytes, *, etag: str | None) -> str | None:
        """Write an object in the middle of the time that it takes."""
        self.writes += 1
        half = self._write_seconds() / 2
        self._clock.sleep(half)
        stored = self._stored.get(key, (b"", None))[1] == etag
        written = uuid4().hex
        if stored:
            self._stored[key] = body, written
        self._clock.sleep(half)
        return written if stored else None

    def uri(self, key: str) -> str:
        """Return the address."""
        return f"s3://slow/{key}"


class SharedLock:
    """A lock that the same thread may take again."""

    def __init__(self, clock: SharedClock) -> None:
        self._clock = clock
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        """Let the others work until the lock is free."""
        me = threading.get_ident()
        if self._owner != me:
            while self._owner is not None:
                self._clock.wait_for(lambda: self._owner is None, None)
            self._owner = me
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Free the lock."""
        self._depth -= 1
        if not self._depth:
            self._owner = None
