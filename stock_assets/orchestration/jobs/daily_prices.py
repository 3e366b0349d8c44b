"""The job that runs the whole data path.

Belongs here: the selection and the configuration of the job. Does not belong here: what a step does, or when the job
runs (`schedules.weekdays`, `sensors`).
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES, Table
from stock_assets.orchestration.instance.dagster_internals import UnresolvedAssetJobDefinition
from stock_assets.orchestration.keys import PLAIN, RAW_PRICES, RAW_SPLITS, Names, asset_key
from stock_assets.serve.views import VIEWS, View

AssetJob = UnresolvedAssetJobDefinition
"""Type of what `define_asset_job` returns."""
JOB_NAME = "daily_prices"
EXECUTOR = dg.in_process_executor
"""A process per step would cost ten seconds of imports; all steps of a load together take less than one second."""


def daily_job(names: Names = PLAIN) -> AssetJob:
    """Return the job that runs the whole data path, from raw to published, with all audits.

    The report is drawn by a job of its own (`jobs.report`): no consumer of the tables waits for charts.
    """
    tables_and_views: list[Table | View] = [STAGED_PRICES, *PUBLISHED_TABLES, *VIEWS.values()]
    loaded = [RAW_PRICES, RAW_SPLITS, *map(asset_key, tables_and_views)]
    return dg.define_asset_job(
        names.name(JOB_NAME),
        selection=dg.AssetSelection.assets(*map(names.key, loaded)),
        tags=names.tags,
        executor_def=EXECUTOR,
        description="Fetch, stage, audit and publish the sessions of the run.",
    )


def step_configuration(
    raw: Mapping[str, object], coverage_symbols: Sequence[str] | None, names: Names = PLAIN
) -> dict[str, object]:
    """Return the configuration of the steps of a run.

    Args:
        raw: configuration of `raw/daily_prices` (`assets.raw.RawConfig`).
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
        names: the names of the universe.
    """
    steps: dict[str, object] = {names.key(RAW_PRICES).to_python_identifier(): {"config": dict(raw)}}
    if coverage_symbols is not None:
        config = {"coverage_symbols": list(coverage_symbols)}
        steps[names.key(STAGED_PRICES).to_python_identifier()] = {"config": config}
    return steps
