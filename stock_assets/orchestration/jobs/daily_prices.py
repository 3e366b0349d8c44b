"""The job that runs the whole data path.

Belongs here: the selection and the configuration of the job. Does not belong here: what a step does, or when the job
runs (`schedules.weekdays`, `sensors`).
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from stock_assets.core.tables import STAGED_PRICES
from stock_assets.orchestration.instance.dagster_internals import UnresolvedAssetJobDefinition
from stock_assets.orchestration.keys import RAW_PRICES, REPORT, asset_key

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


def step_configuration(raw: Mapping[str, object], coverage_symbols: Sequence[str] | None) -> dict[str, object]:
    """Return the configuration of the steps of a run.

    Args:
        raw: configuration of `raw/daily_prices` (`assets.raw.RawConfig`).
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
    """
    steps: dict[str, object] = {RAW_PRICES.to_python_identifier(): {"config": dict(raw)}}
    if coverage_symbols is not None:
        config = {"coverage_symbols": list(coverage_symbols)}
        steps[asset_key(STAGED_PRICES).to_python_identifier()] = {"config": config}
    return steps
