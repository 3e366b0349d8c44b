"""The job that runs the whole data path.

Belongs here: the selection of the job. Does not belong here: what a step does, or when the job runs
(`schedules.weekdays`, `sensors`).
"""

from collections.abc import Sequence

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import UnresolvedAssetJobDefinition

AssetJob = UnresolvedAssetJobDefinition
"""Type of what `define_asset_job` returns."""
JOB_NAME = "daily_prices"


def daily_job(*, on_demand: Sequence[dg.AssetKey] = ()) -> AssetJob:
    """Return the job that runs the whole data path, from raw to published, with all audits.

    Args:
        on_demand: assets that the job leaves out; users materialize them when needed.
    """
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*on_demand),
        description="Fetch, stage, audit and publish the sessions of the run.",
    )
