"""What starts runs: the job.

Belongs here: jobs, and in time the schedule and the sensors. Does not belong here: what a step does.
"""

import dagster as dg

# The return type of the public `define_asset_job` has no public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "daily_prices"


def daily_job() -> UnresolvedAssetJobDefinition:
    """Make the job that holds the whole path, raw to published, with all audits."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all(),
        description="Fetch, stage, audit and publish the sessions of the run.",
    )
