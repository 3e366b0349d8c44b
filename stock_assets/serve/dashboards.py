"""The Grafana dashboards as external assets: what they read, and where they are.

Belongs here: names, lineage and links, which the generator under `infra/grafana` uses too. Does not belong here: how a
dashboard is made.
"""

from dataclasses import dataclass

import dagster as dg
from pydantic import HttpUrl

from stock_assets.serve.panels import read_by


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        name: last part of its asset key.
        uid: Grafana's id, part of its address.
        title: in Grafana.
        description: what it answers.
        panels: names of the panels that it draws.
    """

    name: str
    uid: str
    title: str
    description: str
    panels: tuple[str, ...]

    @property
    def asset_key(self) -> dg.AssetKey:
        """Key in Dagster."""
        return dg.AssetKey(["grafana", self.name])


PRICES = Dashboard(
    "prices_dashboard",
    "stock-assets-prices",
    "Prices",
    "What happened to the prices: averages, returns, volatility, volume and the latest board, by symbol.",
    (
        "average_price",
        "close_and_average",
        "daily_return",
        "volatility",
        "volume",
        "candlesticks",
        "market_breadth",
        "movers",
        "latest_board",
        "volume_surges",
    ),
)
OPERATIONS = Dashboard(
    "operations_dashboard",
    "stock-assets-operations",
    "Operations",
    "Whether readers have what they should: freshness, coverage, audit failures, quarantine and bytes scanned.",
    (
        "freshness",
        "latest_coverage",
        "coverage",
        "audit_failures",
        "incomplete_sessions",
        "quarantined_bars",
    ),
)
DASHBOARDS = (PRICES, OPERATIONS)


def dashboard_specs(grafana: HttpUrl | None, *, owners: list[str]) -> list[dg.AssetSpec]:
    """Make an external asset per dashboard, with a link to it if Grafana's address is set."""
    return [
        dg.AssetSpec(
            dashboard.asset_key,
            deps=read_by(dashboard.panels),
            group_name="served",
            kinds={"grafana", "dashboard"},
            owners=owners,
            description=f"{dashboard.description} A Grafana dashboard on Athena, generated from code.",
            metadata={
                "json": f"infra/grafana/dashboards/{dashboard.uid}.json",
                **(
                    {"dashboard": dg.MetadataValue.url(f"{str(grafana).rstrip('/')}/d/{dashboard.uid}")}
                    if grafana
                    else {}
                ),
            },
        )
        for dashboard in DASHBOARDS
    ]
