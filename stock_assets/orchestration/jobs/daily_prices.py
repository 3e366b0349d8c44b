"""The job that holds the whole path, and the schedule that asks for each weekday's session.

Belongs here: the daily rhythm. Does not belong here: what a step does, or which days the exchange
trades (`sessions`).
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

AssetJob = UnresolvedAssetJobDefinition
"""What the public `define_asset_job` gives; Dagster has no public name for it."""
JOB_NAME = "daily_prices"


def daily_job(*, by_hand: Sequence[dg.AssetKey] = ()) -> AssetJob:
    """Make the job that holds the whole path, raw to published, with all audits.

    Args:
        by_hand: assets that are left out, and materialized when somebody wants them.
    """
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*by_hand),
        description="Fetch, stage, audit and publish the sessions of the run.",
    )
