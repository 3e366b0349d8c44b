"""The assets of the views that readers and dashboards use, such as `published/price_trends`.

Belongs here: what Dagster knows of views. Does not belong here: their contracts (`views`), their SQL (`sql/serve`).

The views have no partitions, and their step sorts last by name. That matters: Dagster 1.13 takes a run's partitions
from the asset of the last step by name, and if that one has partitions it writes one planned row per check and session
(20 audits x 251 sessions x 14 kB in a run over a year).
"""

from collections.abc import Iterator

import dagster as dg

from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import markdown_table
from stock_assets.loads.load import newest_load_of_any_sessions
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.orchestration.keys import asset_key, column_schema
from stock_assets.pipeline import Pipeline
from stock_assets.serve.views import VIEWS, View, create_views
from stock_assets.stage.report import load_report

GROUP = "published"


def view_assets(*, owners: list[str]) -> dg.AssetsDefinition:
    """Make one asset per view; one step makes them all."""

    @dg.multi_asset(
        name="views",
        specs=[_spec(view, owners) for view in VIEWS.values()],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def views(pipeline: dg.ResourceParam[Pipeline]) -> Iterator[dg.MaterializeResult[None]]:
        backend, source = pipeline.backend, pipeline.source
        with backend.warehouse.open() as sql:
            create_views(sql)
        # On its own day a price is adjusted by nothing, so the newest load shows what the view ends with.
        latest = load_report(backend, newest_load_of_any_sessions(backend)).prices
        rows = next((version.rows for version in backend.warehouse.history(DAILY_PRICES) if version.is_current), 0)
        shown = {
            "adjusted_prices": {
                "symbols": dg.MetadataValue.int(len(latest)),
                "dagster/row_count": dg.MetadataValue.int(rows),
                "preview": dg.MetadataValue.md(markdown_table(latest)),
                **statement_metadata(backend),
            }
        }
        for view in VIEWS.values():
            yield dg.MaterializeResult(
                asset_key=asset_key(view), metadata={"source": source.label, **shown.get(view.name, {})}
            )

    return views


def _spec(view: View, owners: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(view),
        deps=[asset_key(relation) for relation in view.dependencies],
        group_name=GROUP,
        kinds={"sql", "view"},
        owners=owners,
        description=f"{view.statement.description} A view, computed when it is read.",
        metadata={
            "sql": f"sql/{view.statement.path}",
            "dagster/table_name": view.full_name,
            "dagster/column_schema": column_schema(view.columns),
        },
    )
