"""The asset `staged/daily_prices`.

Belongs here: its definition and metadata. Does not belong here: creating the tables (`stage.staging`).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from stock_assets.core.calendar import format_ranges
from stock_assets.core.tables import STAGED_PRICES
from stock_assets.core.text import plural
from stock_assets.loads.load import drop_old_loads
from stock_assets.orchestration.assets.load_metadata import load_metadata
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS, Names, column_schema
from stock_assets.orchestration.partitions import partition_sessions
from stock_assets.pipeline import Pipeline

GROUP = "staged"


class StagedConfig(dg.Config):
    """Limits of a load."""

    coverage_symbols: list[str] | None = Field(
        default=None,
        description="Symbols that count for the coverage of a session, such as the symbols of an import. Default: all "
        "listed symbols.",
    )


def staged_asset(
    partitions: dg.PartitionsDefinition[str], *, retention: timedelta, owners: list[str], names: Names
) -> dg.AssetsDefinition:
    """Return the asset."""

    @dg.asset(
        key=names.key(STAGED_PRICES),
        deps=[names.key(RAW_PRICES), names.key(RAW_SPLITS)],
        group_name=names.group(GROUP),
        kinds={"sql", "duckdb", "parquet"},
        owners=owners,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": column_schema(STAGED_PRICES.columns)},
        description=(
            f"{STAGED_PRICES.description} A new set of tables for each load: the newest response for every bar; bars "
            "that fail a row audit are quarantined; sessions that fail a session audit are excluded and keep what is "
            "published of them; metrics are computed for the other bars and for published sessions whose look-back "
            "includes the load. Only audit and publish read these tables."
        ),
    )
    @names.uses_pipeline
    def staged_daily_prices(
        context: dg.AssetExecutionContext, config: StagedConfig, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult[None]:
        drop_old_loads(pipeline.backend, older_than=retention, now=datetime.now(UTC))
        load = pipeline.stage(partition_sessions(context.partition_keys), coverage_symbols=config.coverage_symbols)
        context.log.info(f"{load.load_id}: {plural(load.rows, 'row')}, {plural(load.quarantined, 'bar')} quarantined")
        if load.excluded:
            context.log.warning(f"{load.load_id}: excluded sessions: {format_ranges(load.excluded)}")
        return dg.MaterializeResult(metadata=load_metadata(context, pipeline, load, STAGED_PRICES, names))

    return staged_daily_prices
