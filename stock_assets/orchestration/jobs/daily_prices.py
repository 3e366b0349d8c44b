"""The job that runs the whole data path.

Belongs here: the selection of the job. Does not belong here: what a step does, or when the job runs
(`schedules.weekdays`, `sensors`).
"""

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import UnresolvedAssetJobDefinition
from stock_assets.orchestration.keys import REPORT

AssetJob = UnresolvedAssetJobDefinition
"""Type of what `define_asset_job` returns."""
JOB_NAME = "daily_prices"


def daily_job() -> AssetJob:
    """Return the job that runs the whole data path, from raw to published, with all audits.

    The report is drawn by a job of its own (`jobs.report`): no consumer of the tables waits for charts.
    """
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(REPORT),
        description="Fetch, stage, audit and publish the sessions of the run.",
    )
