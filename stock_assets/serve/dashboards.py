"""The Grafana dashboards as external assets: what they read, and where they are.

Belongs here: names, lineage and links, which the generator under `infra/grafana` uses too. Does not belong here: how a
dashboard is made.
"""

from dataclasses import dataclass


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
