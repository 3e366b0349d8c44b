"""Interruptions by signals: SIGINT (Ctrl-C), SIGTERM (a service stops the program), SIGHUP (the terminal is closed).

Belongs here: postponing a signal while something must not be interrupted. Does not belong here: what a command prints
when it was interrupted (`cli.interruption`).
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no SIGHUP."""


@contextmanager
def postponed_signals() -> Iterator[None]:
    """Postpone interruptions until the end of the block; other threads than the main one are never interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    # A handler that Python did not set cannot be restored, and an ignored signal stays ignored.
    replaced = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    for number in replaced:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
