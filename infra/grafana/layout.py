"""The two dashboards: positions of panels, variables and time ranges.

Belongs here: rows, variables, time ranges. Does not belong here: the look of a panel (`panels`).
"""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import (
    Dashboard as Model,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    VariableOption,
    VariableRefresh,
)

from infra.grafana import panels
from infra.grafana.panels import BLUE, NUMBER, ORANGE, PERCENT, USD, VERMILION
from infra.grafana.queries import ATHENA, CLOUDWATCH, raw_sql, reusing_connection
from stock_assets.serve.dashboards import OPERATIONS, PRICES, Dashboard

_WHOLE, _HALF, _THIRD, _QUARTER = 24, 12, 8, 6


def prices() -> Model:
    """Build the dashboard of prices: all symbols first, then one row per selected symbol."""
    board = panels.rows(
        "latest_board",
        link=("This symbol", panels.TO_SYMBOL),
        close_price=USD,
        price_change_pct=PERCENT,
        daily_return=USD,
        avg_price_90d=USD,
        volatility_pct=PERCENT,
    )
    surges = panels.rows("volume_surges", link=("This symbol", panels.TO_SYMBOL), price_change_pct=PERCENT)
    shown = (
        _dashboard(PRICES, "now-1y")
        .with_variable(_symbols())
        .with_row(builders.Row("All symbols"))
        .with_panel(board.span(_WHOLE))
        .with_panel(panels.movers().span(_THIRD))
        .with_panel(panels.breadth().span(_THIRD))
        .with_panel(surges.span(_THIRD))
        .with_panel(panels.comparison().span(_WHOLE))
        # Not collapsed: the panels that follow the row are repeated with it.
        .with_row(builders.Row("$symbol").repeat("symbol"))
    )
    for panel in (
        panels.lines("average_price", USD, avg_price_90d=BLUE),
        panels.returns(),
        panels.lines("volatility", PERCENT, volatility_pct=panels.SKY, volatility_21d_pct=VERMILION),
        panels.lines("close_and_average", USD, close_price=BLUE, rolling_avg_5d=VERMILION),
        panels.volume(),
        panels.candles(),
    ):
        shown = shown.with_panel(panel.span(_THIRD))
    return _numbered(shown)


def operations() -> Model:
    """Build the dashboard of operations."""
    late = panels.number("freshness", NUMBER, (None, BLUE), (1, ORANGE), (2, VERMILION), fields="/^weekdays_missed$/")
    latest = panels.number("latest_coverage", PERCENT, (None, VERMILION), (80, ORANGE), (100, BLUE), fields="")
    return _numbered(
        _dashboard(OPERATIONS, "now-90d")
        .with_variable(_data_source("cloudwatch", "CloudWatch", str(CLOUDWATCH.type_val)))
        .with_variable(_text("dagster", "Dagster", "Address of the Dagster UI, for links.", "http://localhost:3000"))
        .with_variable(_text("workgroup", "Workgroup", "Athena workgroup of the panel Bytes scanned.", "primary"))
        .with_panel(late.span(_QUARTER))
        .with_panel(latest.span(_QUARTER))
        .with_panel(panels.coverage().span(_HALF))
        .with_panel(panels.audit_failures().span(_HALF))
        .with_panel(panels.bytes_scanned().span(_HALF))
        .with_panel(panels.rows("incomplete_sessions", link=("Runs and checks", panels.TO_AUDITS)).span(_HALF))
        .with_panel(
            panels.rows("quarantined_bars", link=("The quarantine in Dagster", panels.TO_QUARANTINE)).span(_HALF)
        )
    )


def _numbered(shown: builders.Dashboard) -> Model:
    """Build a dashboard and number its panels: their ids are part of links to a single panel."""
    model = shown.build()
    for number, panel in enumerate(model.panels or [], start=1):
        panel.id_val = number
    return model


def _dashboard(shown: Dashboard, since: str) -> builders.Dashboard:
    other = next(one for one in (PRICES, OPERATIONS) if one is not shown)
    return (
        builders.Dashboard(shown.title)
        .uid(shown.uid)
        .description(shown.description)
        .tags(["stock-assets"])
        .with_variable(_data_source("datasource", "Data source", str(ATHENA.type_val)))
        .timezone("utc")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time(since, "now")
        # New rows appear once a day, and each refresh sends all queries to Athena.
        .refresh("")
        .link(builders.DashboardLink(other.title).url(f"/d/{other.uid}").keep_time(True))
    )


def _data_source(name: str, label: str, kind: str) -> builders.DatasourceVariable:
    return builders.DatasourceVariable(name).label(label).description("The data source of the panels.").type(kind)


def _symbols() -> builders.QueryVariable:
    query: dict[str, object] = {
        "refId": "symbols",
        "rawSQL": raw_sql("symbols", group_by_symbol=False),
        "format": 1,
        "connectionArgs": reusing_connection(),
    }
    return (
        builders.QueryVariable("symbol")
        .label("Symbol")
        .description("One row of panels for each selected symbol.")
        .datasource(ATHENA)
        .query(query)
        .multi(True)
        .include_all(False)
        .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
    )


def _text(name: str, label: str, description: str, default: str) -> builders.TextBoxVariable:
    option = VariableOption(text=default, value=default)
    return builders.TextBoxVariable(name).label(label).description(description).default_value(default).current(option)
