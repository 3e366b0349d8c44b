"""Processes of the suite's own, for kills and races.

They are forked from a server that has imported everything once and has opened nothing, so that one starts in
milliseconds and none inherits the threads of the test run.
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
    """Give the context in which to make processes, pipes and barriers."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    return context
