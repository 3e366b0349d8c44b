"""Killed runs, which Dagster's daemon repeats: whether it is going to, and how long that is believed.

Belongs here: reading the tags that Dagster gives a failed run. Does not belong here: what a sensor makes of it
(`requests`, `watch`), nor how the daemon learns of a failure (`instance.settled`).
"""

from datetime import timedelta

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

RETRY_DECIDED_WITHIN = timedelta(minutes=5)
"""Time after which a killed run that has not been repeated is not waited for; the daemon takes seconds."""


def is_retried(run: dg.DagsterRun) -> bool:
    """Tell whether the run that repeats a failed one is there."""
    return AUTO_RETRY_RUN_ID_TAG in run.tags


def awaits_retry(run: dg.DagsterRun) -> bool:
    """Tell whether Dagster has said that it repeats a failed run, can, and has not yet.

    A run of the command line bears the tag too, and is never repeated: it has no origin.
    """
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None and not is_retried(run)
