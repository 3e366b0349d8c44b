"""Asset keys and column schemas of tables and views.

Belongs here: one rule for every name: the table `published.daily_prices` is the asset `published/daily_prices` in the
group `published`. Does not belong here: the tables (`core.tables`), the views (`serve.views`).
"""

from collections.abc import Iterable

import dagster as dg

from stock_assets.core.tables import Column, Table
from stock_assets.serve.dashboards import Dashboard
from stock_assets.serve.views import View

RAW_PRICES = dg.AssetKey(["raw", "daily_prices"])
RAW_SPLITS = dg.AssetKey(["raw", "splits"])
REPORT = dg.AssetKey(["reports", "prices"])


def asset_key(relation: Table | View) -> dg.AssetKey:
    """Return the asset key of a table or view."""
    return dg.AssetKey([relation.schema, relation.name])


def dashboard_key(dashboard: Dashboard) -> dg.AssetKey:
    """Return the asset key of a Grafana dashboard."""
    return dg.AssetKey(["grafana", dashboard.name])


def column_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Return columns as the schema that the Dagster UI shows."""
    return dg.TableSchema(columns=[_column(column) for column in columns])


def _column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        name=column.name,
        type=column.type.value,
        description=column.meaning,
        constraints=dg.TableColumnConstraints(nullable=not column.required),
    )
