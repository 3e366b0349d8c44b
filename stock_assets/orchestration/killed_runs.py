"""Killed runs, which Dagster's daemon retries.

Belongs here: reading the tags that Dagster writes to a failed run. Does not belong here: what a sensor does with them
(`run_requests`, `sensors.alerts`), or when the daemon reads a failure (`instance.settled_failures`).
"""

from datetime import timedelta

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

RETRY_DECIDED_WITHIN = timedelta(minutes=5)
"""Time that sensors wait for the retry of a killed run; the daemon needs seconds."""


def is_retried(run: dg.DagsterRun) -> bool:
    """Return whether the run that retries a failed run exists."""
    return AUTO_RETRY_RUN_ID_TAG in run.tags


def awaits_retry(run: dg.DagsterRun) -> bool:
    """Return whether Dagster will retry a failed run: the run is tagged, can be retried, and is not retried yet.

    A run started from the command line has the tag too, and is never retried: it has no origin.
    """
    return run.tags.get(WILL_RETRY_TAG) == "true" and run.remote_job_origin is not None and not is_retried(run)
