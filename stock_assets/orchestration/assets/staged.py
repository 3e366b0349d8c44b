"""The asset `staged/daily_prices`.

Belongs here: what Dagster knows of it. Does not belong here: making the tables (`staging`).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import partition_sessions
from stock_assets.core.tables import STAGED_PRICES
from stock_assets.core.universe import Universe
from stock_assets.loads.inputs import Limits
from stock_assets.loads.load import drop_old_loads
from stock_assets.orchestration.assets.raw import RAW_PRICES, RAW_SPLITS
from stock_assets.sources.interface import PriceSource
from stock_assets.stage.report import show_load
from stock_assets.stage.staging import stage

GROUP = "staged"


def staged_asset(
    universe: Universe,
    partitions: dg.PartitionsDefinition[str],
    *,
    limits: Limits,
    retention: timedelta,
    owners: list[str],
) -> dg.AssetsDefinition:
    """Make the asset for a universe."""

    @dg.asset(
        key=STAGED_PRICES.asset_key,
        deps=[RAW_PRICES, RAW_SPLITS],
        group_name=GROUP,
        kinds={"sql", "duckdb", "parquet"},
        owners=owners,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": STAGED_PRICES.dagster_schema()},
        description=(
            f"{STAGED_PRICES.description} A new set of tables for each load: the newest fetch of every bar, bars that "
            "fail a row audit set aside, and the metrics of the rest and of the published sessions whose look-back "
            "reaches into the load. Only audit and publish read it."
        ),
    )
    def staged_daily_prices(
        context: dg.AssetExecutionContext, backend: Backend, source: PriceSource
    ) -> dg.MaterializeResult[None]:
        drop_old_loads(backend, older_than=retention, now=datetime.now(UTC))
        load = stage(backend, source, universe, partition_sessions(context.partition_keys), limits=limits)
        context.log.info(f"{load.load_id}: {load.rows} rows, {load.quarantined} bars quarantined")
        return dg.MaterializeResult(metadata=show_load(context, backend, load, STAGED_PRICES))

    return staged_daily_prices
