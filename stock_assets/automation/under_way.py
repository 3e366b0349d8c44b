"""Whether a run is under way, so that nothing is asked for twice.

Belongs here: looking at the instance's runs. Does not belong here: starting any.
"""

import dagster as dg

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.CANCELING,
]


def run_under_way(instance: dg.DagsterInstance) -> str | None:
    """Name a run that is queued or in progress, or None if all have ended."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED), limit=1)
    return f"run {runs[0].run_id[:8]} of {runs[0].job_name} is under way" if runs else None
