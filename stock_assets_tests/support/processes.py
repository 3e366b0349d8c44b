"""Other processes, for tests of kills and races.

The processes are forked from a server that has imported everything once and has opened nothing. So a process starts in
milliseconds and does not inherit the threads of the test run.
"""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

BEGIN = "begin"
_PATIENCE_SECONDS = 120

_PRELOAD = [
    "stock_assets_tests.support.rate_limiters",
    "stock_assets_tests.support.backend_writers",
    "stock_assets_tests.support.publishers",
    "stock_assets_tests.support.small_files",
]


def fork_server() -> ForkServerContext:
    """Return the context that creates processes, pipes and barriers."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context


def begun(target: Callable[..., None], *arguments: object) -> tuple[ForkServerProcess, Connection]:
    """Start a process and wait until it sends `BEGIN`; return it, and the connection for what it sends later.

    Args:
        target: the function to run; its last argument is the connection to which it sends.
        arguments: its other arguments.
    """
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    assert receiver.poll(_PATIENCE_SECONDS), "the process is stuck"
    assert receiver.recv() == BEGIN
    return process, receiver
