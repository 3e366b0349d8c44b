"""The load that the checks of a run are about.

Belongs here: finding it from the run's tags. Does not belong here: checking it (`audits`, `published`).
"""

from collections.abc import Mapping

from stock_assets.backends.interface import Backend
from stock_assets.loads.load import Load, newest_load, newest_load_of_any_sessions
from stock_assets.orchestration.partitions import tagged_sessions


def load_of_run(backend: Backend, tags: Mapping[str, str]) -> Load:
    """Return the load of the run's sessions; a check that runs alone has no sessions and checks the newest load.

    Raises:
        NothingStaged: no load is staged.
    """
    sessions = tagged_sessions(tags)
    return newest_load(backend, sessions) if sessions else newest_load_of_any_sessions(backend)
