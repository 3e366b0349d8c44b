"""The asset `staged/daily_prices`.

Belongs here: what Dagster knows of it. Does not belong here: making the tables (`staging`).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from stock_assets.core.tables import STAGED_PRICES
from stock_assets.loads.load import drop_old_loads
from stock_assets.orchestration.assets.load_metadata import load_metadata
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS, asset_key, column_schema
from stock_assets.orchestration.partitions import partition_sessions
from stock_assets.pipeline import Pipeline

GROUP = "staged"


def staged_asset(
    partitions: dg.PartitionsDefinition[str], *, retention: timedelta, owners: list[str]
) -> dg.AssetsDefinition:
    """Make the asset for a universe."""

    @dg.asset(
        key=asset_key(STAGED_PRICES),
        deps=[RAW_PRICES, RAW_SPLITS],
        group_name=GROUP,
        kinds={"sql", "duckdb", "parquet"},
        owners=owners,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": column_schema(STAGED_PRICES.columns)},
        description=(
            f"{STAGED_PRICES.description} A new set of tables for each load: the newest fetch of every bar, bars that "
            "fail a row audit set aside, and the metrics of the rest and of the published sessions whose look-back "
            "reaches into the load. Only audit and publish read it."
        ),
    )
    def staged_daily_prices(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult[None]:
        drop_old_loads(pipeline.backend, older_than=retention, now=datetime.now(UTC))
        load = pipeline.stage(partition_sessions(context.partition_keys))
        context.log.info(f"{load.load_id}: {load.rows} rows, {load.quarantined} bars quarantined")
        return dg.MaterializeResult(metadata=load_metadata(context, pipeline.backend, load, STAGED_PRICES))

    return staged_daily_prices
