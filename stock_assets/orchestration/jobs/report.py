"""The job that draws the report.

Belongs here: the selection of the job. Does not belong here: when it runs (`sensors.report`), drawing
(`serve.report`).
"""

import dagster as dg

from stock_assets.orchestration.jobs.daily_prices import AssetJob
from stock_assets.orchestration.keys import REPORT

JOB_NAME = "price_report"


def report_job() -> AssetJob:
    """Return the job."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(REPORT),
        description="Draw the published tables into one HTML file.",
    )
