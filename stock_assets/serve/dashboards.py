"""The Grafana dashboards: names, addresses and the panels on each.

Belongs here: what the external assets and the generator (`infra/grafana`) share. Does not belong here: the layout of a
dashboard (`infra/grafana`), its asset (`orchestration.assets.dashboards`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dashboard:
    """One dashboard.

    Attributes:
        name: last part of its asset key.
        uid: Grafana's id, part of its address.
        title: in Grafana.
        description: what it shows.
        panels: names of its panels.
    """

    name: str
    uid: str
    title: str
    description: str
    panels: tuple[str, ...]


PRICES = Dashboard(
    "prices_dashboard",
    "stock-assets-prices",
    "Prices",
    "Prices by symbol: averages, returns, volatility, volume and the latest board.",
    (
        "comparison",
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
    "Completeness of the published tables: freshness, coverage, audit failures, quarantine and bytes scanned.",
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
