"""Tell the sender of a request when its bytes leave the machine.

Belongs here: the two steps that a connection reports. Does not belong here: what follows from them
(`ingest.requester`), the connection itself (`redaction`).

A source returns only bodies, and a busy machine may need long between a counted call and the first byte on the network:
for writing the count, opening a connection, and waiting for a processor.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class SendObserver:
    """Functions that a connection calls around sending a request.

    Attributes:
        before: called when the connection is open and the request is sent next.
        after: called when the request has been sent.
    """

    before: Callable[[], None]
    after: Callable[[], None]


_observer: ContextVar[SendObserver | None] = ContextVar("send_observer", default=None)


@contextmanager
def observed(observer: SendObserver) -> Iterator[None]:
    """Let the connections of this thread report to an observer."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@contextmanager
def sending() -> Iterator[None]:
    """Report that the request is sent inside the block."""
    observer = _observer.get()
    if observer:
        observer.before()
    yield
    if observer:
        observer.after()
