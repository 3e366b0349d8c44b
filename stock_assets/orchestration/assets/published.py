"""The assets `published/daily_prices` and `published/quarantined_prices`, which one step commits together.

Belongs here: their definitions and metadata. Does not belong here: the gate and the commit (`publish.publishing`).
"""

from collections.abc import Iterator

import dagster as dg

from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES, STAGED_PRICES, Table
from stock_assets.orchestration.assets.load_metadata import load_metadata
from stock_assets.orchestration.keys import Names, column_schema
from stock_assets.orchestration.partitions import partition_sessions
from stock_assets.pipeline import Pipeline

GROUP = "published"

_DESCRIPTIONS = {
    DAILY_PRICES: (
        f"{DAILY_PRICES.description} An Iceberg table, partitioned by year; each load is one atomic commit of "
        "audited rows, and a load that changes nothing commits nothing."
    ),
    QUARANTINED_PRICES: f"{QUARANTINED_PRICES.description} Empty if every bar passes the row audits.",
}


def published_assets(
    partitions: dg.PartitionsDefinition[str],
    *,
    owners: list[str],
    freshness: dg.FreshnessPolicy | None,
    names: Names,
) -> dg.AssetsDefinition:
    """Return both assets; the freshness policy applies to the prices."""

    @dg.multi_asset(
        name=names.name("publish"),
        specs=[
            _spec(table, partitions, owners, names).replace_attributes(
                freshness_policy=freshness if table is DAILY_PRICES else None
            )
            for table in PUBLISHED_TABLES
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=names.name("publish"),
    )
    @names.uses_pipeline
    def publish_load(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.MaterializeResult[None]]:
        done = pipeline.publish(partition_sessions(context.partition_keys))
        for table, commit in ((QUARANTINED_PRICES, done.quarantine), (DAILY_PRICES, done.prices)):
            context.log.info(f"{table.full_name}: {commit.summary()}")
            yield dg.MaterializeResult(
                asset_key=names.key(table),
                metadata={
                    **load_metadata(context, pipeline, done.load, table, names),
                    "source": pipeline.source.label,
                    "changed": commit.changed,
                    "rows added": commit.added,
                    "rows removed": commit.removed,
                    "snapshot": str(commit.snapshot_id or "none"),
                    "dagster/uri": pipeline.backend.warehouse.location(table),
                },
            )

    return publish_load


def _spec(table: Table, partitions: dg.PartitionsDefinition[str], owners: list[str], names: Names) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.key(table),
        deps=[names.key(STAGED_PRICES)],
        group_name=names.group(GROUP),
        kinds={"iceberg", "parquet"},
        owners=owners,
        partitions_def=partitions,
        description=_DESCRIPTIONS[table],
        metadata={"dagster/column_schema": column_schema(table.columns), "dagster/table_name": table.full_name},
    )
