"""The assets of the views that consumers and dashboards query, such as `published/price_trends`.

Belongs here: definitions and metadata of the views. Does not belong here: their columns (`serve.views`), their SQL
(`sql/serve`).

The views have no partitions, and their step sorts last by name. Both matter: Dagster 1.13 takes a run's partitions from
the asset of the last step by name. If this asset has partitions, Dagster writes one planned row per check and session
(20 audits x 251 sessions x 14 kB in a run over a year).
"""

from collections.abc import Iterator

import dagster as dg

from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import markdown_table
from stock_assets.loads.load import newest_load_of_any_sessions
from stock_assets.loads.load_report import load_report
from stock_assets.orchestration.assets.column_lineage import column_lineage
from stock_assets.orchestration.assets.statement_runs import statement_metadata
from stock_assets.orchestration.keys import Names, column_schema
from stock_assets.pipeline import Pipeline
from stock_assets.serve.views import VIEWS, View, store_views

GROUP = "published"


def view_assets(*, owners: list[str], names: Names) -> dg.AssetsDefinition:
    """Return one asset per view; one step creates all views."""

    @dg.multi_asset(
        name=names.name("views"),
        specs=[_spec(view, owners, names) for view in VIEWS.values()],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    @names.uses_pipeline
    def views(pipeline: dg.ResourceParam[Pipeline]) -> Iterator[dg.MaterializeResult[None]]:
        backend, source = pipeline.backend, pipeline.source
        store_views(backend)
        # On its own date a price needs no adjustment, so the newest load contains the last rows of the view.
        latest = load_report(backend, newest_load_of_any_sessions(backend))
        rows = next((snapshot.rows for snapshot in backend.warehouse.history(DAILY_PRICES) if snapshot.is_current), 0)
        shown = {
            "adjusted_prices": {
                "symbols": dg.MetadataValue.int(latest.rows_of_last_session),
                "dagster/row_count": dg.MetadataValue.int(rows),
                "preview": dg.MetadataValue.md(markdown_table(latest.prices, total=latest.rows_of_last_session)),
                **statement_metadata(backend),
            }
        }
        for view in VIEWS.values():
            yield dg.MaterializeResult(
                asset_key=names.key(view),
                metadata={"source": source.label, **column_lineage(view, names), **shown.get(view.name, {})},
            )

    return views


def _spec(view: View, owners: list[str], names: Names) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.key(view),
        deps=[names.key(relation) for relation in view.dependencies],
        group_name=names.group(GROUP),
        kinds={"sql", "view"},
        owners=owners,
        description=f"{view.statement.description} A view, computed when it is queried.",
        metadata={
            "sql": f"sql/{view.statement.path}",
            "dagster/table_name": view.full_name,
            "dagster/column_schema": column_schema(view.columns),
        },
    )
