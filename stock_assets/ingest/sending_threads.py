"""Run requests in a few threads and wait for the first one that ends.

Belongs here: threads. Does not belong here: which requests are sent, and when (`requester`), counting calls
(`counted_calls`), connections (`sources.transport`).
"""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class SendingThreads(Generic[T]):
    """At most `size` requests at once; a single one runs in the thread that submits it."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="request") if size > 1 else None

    def __enter__(self) -> "SendingThreads[T]":
        """Begin to accept requests."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the requests that have begun, so that no response is lost or left out of the ledger."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Begin a request."""
        if self._pool:
            return self._pool.submit(work)
        done: Future[T] = Future()
        done.set_result(work())
        return done

    def wait(self, running: "Collection[Future[T]]", seconds: float | None) -> "set[Future[T]]":
        """Return the requests that have ended, waiting for the first one for some seconds at most."""
        return wait(running, seconds, FIRST_COMPLETED).done
