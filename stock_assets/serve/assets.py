"""The asset `published/adjusted_prices`: the view that charts read.

Belongs here: what Dagster knows of views. Does not belong here: their SQL (`sql/serve`).

The view has no partitions, and its step sorts last by name. That matters: Dagster 1.13 takes a run's partitions from
the asset of the last step by name, and if that one has partitions it writes one planned row per check and session
(20 audits x 251 sessions x 14 kB in a run over a year).
"""

import dagster as dg

from stock_assets.homes.interfaces import Home
from stock_assets.ingest.source import PriceSource
from stock_assets.markdown import markdown_table
from stock_assets.serve.query import ADJUSTED_PRICES, ensure_views, view
from stock_assets.stage.load import newest_of_all
from stock_assets.stage.report import report_of
from stock_assets.tables import DAILY_PRICES

GROUP = "serve"


def view_asset(*, owners: list[str]) -> dg.AssetsDefinition:
    """Make the asset."""
    shown = view(ADJUSTED_PRICES)

    spec = dg.AssetSpec(
        ["published", ADJUSTED_PRICES],
        deps=[DAILY_PRICES.asset_key],
        group_name=GROUP,
        kinds={"sql", "view"},
        owners=owners,
        description=f"{shown.description} A view, computed when it is read.",
        metadata={"sql": f"sql/{shown.path}", "dagster/table_name": f"published.{ADJUSTED_PRICES}"},
    )

    @dg.multi_asset(name="views", specs=[spec])
    def views(home: Home, source: PriceSource) -> dg.MaterializeResult[None]:
        ensure_views(home)
        # On its own day a price is adjusted by nothing, so the newest load shows what the view ends with.
        latest = report_of(home, newest_of_all(home)).prices
        rows = next((version.rows for version in home.warehouse.history(DAILY_PRICES) if version.is_current), 0)
        return dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "source": source.label,
                "symbols": len(latest),
                "dagster/row_count": rows,
                "preview": dg.MetadataValue.md(markdown_table(latest)),
                **home.sql_spending(),
            },
        )

    return views
