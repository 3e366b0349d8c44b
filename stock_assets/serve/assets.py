"""The assets of the views that readers and dashboards use, such as `published/price_trends`.

Belongs here: what Dagster knows of views. Does not belong here: their contracts (`views`), their SQL (`sql/serve`).

The views have no partitions, and their step sorts last by name. That matters: Dagster 1.13 takes a run's partitions
from the asset of the last step by name, and if that one has partitions it writes one planned row per check and session
(20 audits x 251 sessions x 14 kB in a run over a year).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from stock_assets.homes.interfaces import Home, SqlSession
from stock_assets.ingest.source import PriceSource
from stock_assets.markdown import markdown_table
from stock_assets.serve.views import VIEWS, View, create_views
from stock_assets.sql import statement
from stock_assets.tables import dagster_schema

GROUP = "served"


def view_assets(*, owners: list[str]) -> dg.AssetsDefinition:
    """Make one asset per view; one step makes them all."""

    @dg.multi_asset(name="views", specs=[_spec(view, owners) for view in VIEWS.values()])
    def views(home: Home, source: PriceSource) -> Iterator[dg.MaterializeResult[None]]:
        with home.warehouse.open() as sql:
            create_views(sql)
            shown = {"adjusted_prices": _adjusted(sql), "latest_board": _board(sql)}
        for view in VIEWS.values():
            yield dg.MaterializeResult(
                asset_key=view.asset_key, metadata={"source": source.label, **shown.get(view.name, {})}
            )

    return views


def _spec(view: View, owners: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        view.asset_key,
        deps=[source.asset_key for source in view.sources],
        group_name=GROUP,
        kinds={"sql", "view"},
        owners=owners,
        description=f"{view.statement.description} A view, computed when it is read.",
        metadata={
            "sql": f"sql/{view.statement.path}",
            "dagster/table_name": view.full_name,
            "dagster/column_schema": dagster_schema(view.columns),
        },
    )


def _adjusted(sql: SqlSession) -> dict[str, dg.MetadataValue[Any]]:
    latest = sql.query(statement("serve/latest_adjusted.sql").bind({})).to_pylist()
    return {
        "symbols": dg.MetadataValue.int(len(latest)),
        "dagster/row_count": dg.MetadataValue.int(sum(int(row["sessions"]) for row in latest)),
        "preview": dg.MetadataValue.md(markdown_table(latest)),
    }


def _board(sql: SqlSession) -> dict[str, dg.MetadataValue[Any]]:
    board = VIEWS["latest_board"].full_name
    rows = sql.query(f"SELECT * FROM {board} ORDER BY symbol").to_pylist()  # noqa: S608 (a contract's name)
    return {"preview": dg.MetadataValue.md(markdown_table(rows))}
