"""The job that draws the report.

Belongs here: the selection of the job. Does not belong here: when it runs (`sensors.report`), drawing
(`serve.report`).
"""

import dagster as dg

from stock_assets.orchestration.jobs.daily_prices import EXECUTOR, AssetJob
from stock_assets.orchestration.keys import PLAIN, REPORT, Names

JOB_NAME = "price_report"


def report_job(names: Names = PLAIN) -> AssetJob:
    """Return the job."""
    return dg.define_asset_job(
        names.name(JOB_NAME),
        selection=dg.AssetSelection.assets(names.key(REPORT)),
        tags=names.tags,
        executor_def=EXECUTOR,
        description="Draw the published tables into one HTML file.",
    )
