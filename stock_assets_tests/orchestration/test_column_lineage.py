"""The lineage names only columns that the assets declare, and every column whose value is computed from one."""

import dagster as dg
import pytest

from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES, Table
from stock_assets.orchestration.assets.column_lineage import column_lineage
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.keys import asset_key
from stock_assets.serve.views import VIEWS, View
from stock_assets.settings import Settings

RELATIONS = [STAGED_PRICES, *PUBLISHED_TABLES, *VIEWS.values()]
WITHOUT_SOURCE = {
    # The ledger knows the symbol, the time and the file of a response; its text does not contain them.
    "staged/daily_prices": {"symbol"},
    "published/quarantined_prices": {"symbol", "audit", "detail", "load_id", "fetched_at", "payload"},
    # Counts of rows.
    "published/market_breadth": {"symbols"},
    "published/quarantine_by_audit": {"bars"},
}


@pytest.fixture(scope="module")
def declared() -> dict[dg.AssetKey, set[str]]:
    """Return the columns that each asset shows."""
    specs = build_definitions(Settings()).resolve_all_asset_specs()
    return {
        spec.key: {column.name for column in spec.metadata["dagster/column_schema"].columns}
        for spec in specs
        if "dagster/column_schema" in spec.metadata
    }


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.full_name)
def test_the_lineage_covers_the_declared_columns(relation: Table | View, declared: dict[dg.AssetKey, set[str]]) -> None:
    lineage = column_lineage(relation)["dagster/column_lineage"].deps_by_column
    assert declared[asset_key(relation)] - lineage.keys() == WITHOUT_SOURCE.get(
        asset_key(relation).to_user_string(), set()
    )
    for column, sources in lineage.items():
        assert column in declared[asset_key(relation)]
        for source in sources:
            assert source.column_name in declared[source.asset_key], (column, source)
