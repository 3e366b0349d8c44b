"""The look of each panel in Grafana.

Belongs here: kinds of panel, units, colours and links. Does not belong here: their order on a dashboard
(`layout`), their statements (`queries`).

Colours are from the palette of Okabe and Ito: colour-blind people can distinguish them, and they are visible on
Grafana's light and dark background. A colour identifies a measure, never a symbol: each symbol has a separate row. Only
the comparison shows many symbols in one chart; Grafana's own palette colours them by name.
"""

from typing import TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    candlestick,
    cloudwatch,
    common,
    dashboard,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import candlestick as candlestick_models
from grafana_foundation_sdk.models import cloudwatch as cloudwatch_models
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)

from infra.grafana.queries import ATHENA, CLOUDWATCH, target
from stock_assets.serve.dashboards import PRICES
from stock_assets.serve.panels import PANELS

BLUE, ORANGE, VERMILION, SKY = "#0072B2", "#E69F00", "#D55E00", "#56B4E9"
USD, PERCENT, NUMBER, BYTES = "currencyUSD", "percent", "short", "bytes"
HEIGHT = 8

TO_PRICES = f"/d/{PRICES.uid}?${{__url_time_range}}"
TO_SYMBOL = f"{TO_PRICES}&var-symbol=${{__data.fields.symbol}}"
TO_SYMBOL_OF_SERIES = f"{TO_PRICES}&var-symbol=${{__field.labels.symbol}}"
TO_TABLE = "${dagster}/assets/published/daily_prices"
TO_QUARANTINE = "${dagster}/assets/published/quarantined_prices"
TO_AUDITS = "${dagster}/assets/staged/daily_prices?view=checks"

AnyPanel = timeseries.Panel | candlestick.Panel | table.Panel | stat.Panel | barchart.Panel
_Panel = TypeVar("_Panel", timeseries.Panel, candlestick.Panel, table.Panel, stat.Panel, barchart.Panel)
_Bars = TypeVar("_Bars", timeseries.Panel, barchart.Panel)


def lines(name: str, unit: str, **colours: str) -> timeseries.Panel:
    """Return a panel with one line per measure of one symbol; a line ends where a value is missing."""
    panel = _series(name, unit, group_by_symbol=True).line_width(2).fill_opacity(0)
    for field, colour in colours.items():
        panel = panel.override_by_regexp(f"/^{field}( |$)/", _coloured(colour, field))
    return panel


def bars(name: str, unit: str, *, group_by_symbol: bool, colour: str = BLUE) -> timeseries.Panel:
    """Return a panel with one bar per session."""
    return (
        _series(name, unit, group_by_symbol=group_by_symbol)
        .draw_style(options.GraphDrawStyle.BARS)
        .line_width(0)
        .fill_opacity(90)
        .color_scheme(_fixed(colour))
    )


def returns() -> timeseries.Panel:
    """Return the panel of daily returns, gains blue and losses orange."""
    return _gains_and_losses(bars("daily_return", USD, group_by_symbol=True)).axis_centered_zero(True)


def comparison() -> timeseries.Panel:
    """Return the panel that compares the selected symbols: closes rebased to 100, one line per symbol."""
    return (
        _series("comparison", NUMBER, group_by_symbol=True)
        .line_width(2)
        .fill_opacity(0)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )


def volume() -> timeseries.Panel:
    """Return the panel of volumes: shares as bars, the surge ratio as a line on a separate axis."""
    ratio = [
        *_coloured(VERMILION, "volume_surge_ratio"),
        DynamicConfigValue(id_val="custom.drawStyle", value="line"),
        DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        DynamicConfigValue(id_val="custom.lineWidth", value=1),
        DynamicConfigValue(id_val="custom.axisPlacement", value="right"),
        DynamicConfigValue(id_val="unit", value="suffix:x"),
    ]
    return bars("volume", NUMBER, group_by_symbol=True, colour=SKY).override_by_regexp(
        "/^volume_surge_ratio( |$)/", ratio
    )


def candles() -> candlestick.Panel:
    """Return the panel of candlesticks, blue up and orange down."""
    shown = _common(candlestick.Panel(), "candlesticks", group_by_symbol=True).unit(USD)
    return (
        shown.mode(candlestick_models.VizDisplayMode.CANDLES)
        .candle_style(candlestick_models.CandleStyle.CANDLES)
        .color_strategy(candlestick_models.ColorStrategy.OPEN_CLOSE)
        .colors(candlestick.CandlestickColors().up(BLUE).down(VERMILION).flat(SKY))
        .fields(candlestick.CandlestickFieldMap().open("open").high("high").low("low").close("close"))
        .data_links([_link("This symbol", TO_SYMBOL_OF_SERIES)])
    )


def breadth() -> timeseries.Panel:
    """Return the panel of market breadth."""
    return (
        bars("market_breadth", PERCENT, group_by_symbol=False)
        .min(0)
        .max(100)
        .override_by_regexp("/^(up_)?symbols$/", _hidden())
    )


def coverage() -> timeseries.Panel:
    """Return the panel of coverage by session."""
    panel = _series("coverage", PERCENT, group_by_symbol=False, link=("Runs and checks", TO_AUDITS))
    return (
        panel.min(0)
        .max(100)
        .line_interpolation(options.LineInterpolation.STEP_AFTER)
        .color_scheme(_fixed(BLUE))
        .override_by_regexp("/_symbols$/", _hidden())
    )


def audit_failures() -> timeseries.Panel:
    """Return the panel of quarantined bars per session, stacked by audit."""
    stacked = common.StackingConfig().mode(options.StackingMode.NORMAL)
    panel = _series("audit_failures", NUMBER, group_by_symbol=False, link=("Audits in Dagster", TO_AUDITS))
    return (
        panel.draw_style(options.GraphDrawStyle.BARS).fill_opacity(90).stacking(stacked).color_scheme(_fixed(VERMILION))
    )


def movers() -> barchart.Panel:
    """Return the panel of price changes in the latest session."""
    return (
        _gains_and_losses(_common(barchart.Panel(), "movers", group_by_symbol=False))
        .unit(PERCENT)
        .decimals(2)
        .orientation(options.VizOrientation.HORIZONTAL)
        .x_field("symbol")
        .show_value(options.VisibilityMode.ALWAYS)
        .override_by_regexp("/^(close_price|trade_date)$/", _hidden())
        .data_links([_link("This symbol", TO_SYMBOL)])
    )


def rows(name: str, *, link: tuple[str, str], **units: str) -> table.Panel:
    """Return a table of rows; units by column."""
    panel = _common(table.Panel(), name, group_by_symbol=False).unit(NUMBER).data_links([_link(*link)])
    # Grafana would add a time of 00:00:00.
    panel = panel.override_by_name("trade_date", [DynamicConfigValue(id_val="unit", value="time:YYYY-MM-DD")])
    for column, unit in units.items():
        panel = panel.override_by_name(
            column, [DynamicConfigValue(id_val="unit", value=unit), DynamicConfigValue(id_val="decimals", value=2)]
        )
    return panel


def number(name: str, unit: str, *levels: tuple[float | None, str], fields: str) -> stat.Panel:
    """Return a panel with one number, coloured by its level."""
    return (
        _common(stat.Panel(), name, group_by_symbol=False)
        .unit(unit)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields(fields))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds(*levels))
        .data_links([_link("The table in Dagster", TO_TABLE)])
    )


def bytes_scanned() -> timeseries.Panel:
    """Return the panel of bytes that Athena scanned, from the metrics of its workgroup."""
    query = (
        cloudwatch.CloudWatchMetricsQuery()
        .query_mode(cloudwatch_models.CloudWatchQueryMode.METRICS)
        .metric_query_type(cloudwatch_models.MetricQueryType.SEARCH)
        .metric_editor_mode(cloudwatch_models.MetricEditorMode.BUILDER)
        .region("default")
        .namespace("AWS/Athena")
        .metric_name("ProcessedBytes")
        .dimensions({"WorkGroup": "${workgroup}"})
        .match_exact(False)
        .statistic("Sum")
        .period("3600")
        .id("scanned")
        .ref_id("A")
        .datasource(CLOUDWATCH)
    )
    return (
        timeseries.Panel()
        .title("Bytes scanned")
        .description(
            "Bytes that Athena scanned in each hour, for all queries of the workgroup: loads, audits and dashboards. "
            "Athena bills by them. The workgroup must publish metrics."
        )
        .datasource(CLOUDWATCH)
        .with_target(query)
        .unit(BYTES)
        .height(HEIGHT)
        .draw_style(options.GraphDrawStyle.BARS)
        .fill_opacity(90)
        .color_scheme(_fixed(BLUE))
        .data_links([_link("The table in Dagster", TO_TABLE)])
    )


def _series(
    name: str, unit: str, *, group_by_symbol: bool, link: tuple[str, str] = ("This symbol", TO_SYMBOL_OF_SERIES)
) -> timeseries.Panel:
    shown = link if group_by_symbol or link[1] != TO_SYMBOL_OF_SERIES else ("Prices", TO_PRICES)
    return (
        _common(timeseries.Panel(), name, group_by_symbol=group_by_symbol)
        .unit(unit)
        # A weekend or holiday has no row and leaves no gap. A NULL leaves a gap.
        .span_nulls(False)
        .show_points(options.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
        )
        .data_links([_link(*shown)])
    )


def _common(panel: _Panel, name: str, *, group_by_symbol: bool) -> _Panel:
    shown = PANELS[name]
    return (
        panel.title(shown.title)
        .description(shown.description)
        .datasource(ATHENA)
        .with_target(target(name, group_by_symbol=group_by_symbol))
        .height(HEIGHT)
        .no_value("no rows")
    )


def _gains_and_losses(panel: _Bars) -> _Bars:
    """Colour each bar by its own value; without the gradient all bars have the colour of the last one."""
    return (
        panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds((None, VERMILION), (0, BLUE)))
        .gradient_mode(options.GraphGradientMode.SCHEME)
    )


def _coloured(colour: str, field: str) -> list[DynamicConfigValue]:
    return [
        DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour}),
        DynamicConfigValue(id_val="displayName", value=field.replace("_", " ")),
    ]


def _hidden() -> list[DynamicConfigValue]:
    where = {"viz": True, "legend": True, "tooltip": False}
    return [DynamicConfigValue(id_val="custom.hideFrom", value=where)]


def _fixed(colour: str) -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(FieldColorModeId.FIXED).fixed_color(colour)


def _thresholds(*levels: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=value, color=colour) for value, colour in levels]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _link(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).url(url)
