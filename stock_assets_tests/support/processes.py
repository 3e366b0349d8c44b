"""Other processes, for tests of kills and races.

The processes are forked from a server that has imported everything once and has opened nothing. So a process starts in
milliseconds and does not inherit the threads of the test run.
"""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

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
