"""The charts of the report, built with Altair: specifications that the page fills with the rows of a symbol.

Belongs here: marks, axes and colours. Does not belong here: rows (`data`), descriptions (`panels`), the page (`page`).

Colours are names of CSS variables, which the page sets for light, dark and print.
They are from the palette of Okabe and Ito, which colour-blind people can distinguish. Up is blue, down is orange. The
time axis has every calendar day: a weekend or holiday is an empty space, never an invented value.
"""

from functools import cache
from typing import Any

import altair as alt

ROWS = "rows"
_HEIGHT = 240
_MAIN, _SECOND, _SOFT, _MUTED = (f"var(--{name})" for name in ("main", "second", "soft", "muted"))
_UP_OR_DOWN = alt.condition(alt.datum.direction == "up", alt.value("var(--up)"), alt.value("var(--down)"))
# A bar is as wide as its share of the axis; the page sets the number of bars.
_BARS = alt.param(name="bars", value=252)
_BAR_WIDTH = alt.ExprRef(expr="max(1, min(14, 0.65 * width / bars))")

Chart = alt.Chart | alt.LayerChart | alt.FacetChart


@cache
def charts() -> dict[str, dict[str, Any]]:
    """Return the Vega-Lite specification of each chart, by panel. It does not depend on data; do not modify it."""
    drawn: dict[str, Chart] = {
        "average_price": _lines({"avg_price_90d": "90-day average"}, "USD"),
        "close_and_average": _lines({"close_price": "Close", "rolling_avg_5d": "5-day average"}, "USD"),
        "daily_return": _bars("daily_return", "USD", signed=True),
        "volatility": _volatility(),
        "volume": _volume(),
        "candlesticks": _candlesticks(),
        "market_breadth": _share("up_share_pct", "% of symbols", bars=True),
        "movers": _movers(),
        "coverage": _share("coverage_pct", "% of symbols", bars=False),
    }
    return {name: _finished(chart) for name, chart in drawn.items()}


def _finished(chart: Chart) -> dict[str, Any]:
    sized = chart.properties(width="container", height=_HEIGHT).configure(aria=False, background="transparent")
    text: dict[str, Any] = {"labelColor": _MUTED, "titleColor": _MUTED, "labelFontSize": 12, "titleFontSize": 12}
    axis: dict[str, Any] = {
        **text,
        "gridColor": "var(--grid)",
        "domainColor": "var(--grid)",
        "tickColor": "var(--grid)",
    }
    spec: dict[str, Any] = (
        sized.configure_axis(**axis, titleFontWeight="normal")
        .configure_legend(**text, orient="top", title=None, symbolStrokeWidth=3)
        .configure_view(stroke=None)
        .to_dict()
    )
    return spec


def _base() -> alt.Chart:
    return alt.Chart(alt.NamedData(name=ROWS)).encode(
        x=alt.X("time:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(grid=False, labelOverlap=True))
    )


def _y(field: str, unit: str, *, zero: bool = False) -> alt.Y:
    return alt.Y(f"{field}:Q", title=unit, scale=alt.Scale(zero=zero, nice=True), axis=alt.Axis(tickCount=5))


def _tips(**fields: str) -> list[alt.Tooltip]:
    numbers = [alt.Tooltip(f"{field}:Q", title=title, format=",.6~g") for field, title in fields.items()]
    return [alt.Tooltip("day:N", title="Session"), *numbers]


def _lines(fields: dict[str, str], unit: str) -> Chart:
    colours = alt.Scale(domain=list(fields.values()), range=[_MAIN, _SECOND][: len(fields)])
    layers = [
        _base()
        .transform_calculate(series=f"'{title}'")
        # A null ends the line, so that no line is drawn across a missing bar.
        .mark_line(strokeWidth=2, invalid="break-paths-filter-domains", strokeDash=[1, 0] if number == 0 else [5, 3])
        .encode(
            y=_y(field, unit),
            color=alt.Color("series:N", scale=colours, legend=alt.Legend() if len(fields) > 1 else None),
        )
        for number, (field, title) in enumerate(fields.items())
    ]
    return alt.layer(*layers, *_marks(**fields))


def _marks(**fields: str) -> list[alt.Chart]:
    """Return the marks of splits, of sessions without a bar, and an invisible rule per session for its tooltip.

    Every row is drawn, most of them invisible: a layer without rows would leave its axis without an extent.
    """
    gap: dict[str, Any] = {"fontSize": 14, "color": _SECOND, "baseline": "bottom"}
    split: dict[str, Any] = {"align": "left", "dx": 4, "baseline": "top", "color": _MUTED, "fontSize": 12}
    return [
        _base()
        .mark_rule(strokeDash=[4, 3], color=_MUTED)
        .encode(opacity=alt.condition(alt.datum.split, alt.value(1), alt.value(0))),
        _base().mark_text(**split).encode(text="split:N", y=alt.value(2)),
        _base().mark_text(**gap).encode(text="gap:N", y=alt.value(_HEIGHT)),
        _base().mark_rule(opacity=0, strokeWidth=6).encode(tooltip=_tips(**fields)),
    ]


def _bars(field: str, unit: str, *, signed: bool) -> Chart:
    bars = (
        _base()
        .transform_filter(~alt.datum.missing)
        .transform_calculate(direction=f"datum.{field} >= 0 ? 'up' : 'down'")
        .mark_bar(size=_BAR_WIDTH)
        .encode(
            y=_y(field, unit, zero=True),
            color=_UP_OR_DOWN if signed else alt.value(_MAIN),
        )
    )
    return alt.layer(bars, *_marks(**{field: unit})).add_params(_BARS)


def _volatility() -> Chart:
    colours = alt.Scale(domain=["One session", "21 sessions"], range=[_SOFT, _SECOND])
    fields = {"volatility_pct": "One session", "volatility_21d_pct": "21 sessions"}
    points = (
        _base()
        .transform_filter(~alt.datum.missing)
        .transform_calculate(series="'One session'")
        .mark_circle(size=14, opacity=0.9)
        .encode(y=_y("volatility_pct", "% a day", zero=True), color=alt.Color("series:N", scale=colours))
    )
    line = (
        _base()
        .transform_calculate(series="'21 sessions'")
        .mark_line(strokeWidth=2, invalid="break-paths-filter-domains")
        .encode(
            y=_y("volatility_21d_pct", "% a day", zero=True),
            color=alt.Color("series:N", scale=colours),
        )
    )
    return alt.layer(points, line, *_marks(**fields))


def _volume() -> Chart:
    colours = alt.Scale(domain=["Usual", "At least twice the usual"], range=[_SOFT, _SECOND])
    bars = (
        _base()
        .transform_filter(~alt.datum.missing)
        .transform_calculate(kind="datum.volume_surge_ratio >= 2 ? 'At least twice the usual' : 'Usual'")
        .mark_bar(size=_BAR_WIDTH)
        .encode(
            y=alt.Y("volume:Q", title="shares", axis=alt.Axis(format="~s", tickCount=5)),
            color=alt.Color("kind:N", scale=colours, legend=alt.Legend()),
        )
    )
    return alt.layer(bars, *_marks(volume="Shares", volume_surge_ratio="Times the usual")).add_params(_BARS)


def _candlesticks() -> Chart:
    base = (
        _base()
        .transform_filter(~alt.datum.missing)
        .transform_calculate(direction="datum.close > datum.open ? 'up' : 'down'")
        .encode(color=_UP_OR_DOWN)
    )
    wicks = base.mark_rule().encode(y=_y("low", "USD"), y2="high:Q")
    bodies = base.mark_bar(size=_BAR_WIDTH).encode(y=_y("open", "USD"), y2="close:Q")
    return alt.layer(wicks, bodies, *_marks(open="Open", high="High", low="Low", close="Close")).add_params(_BARS)


def _share(field: str, unit: str, *, bars: bool) -> Chart:
    y = alt.Y(f"{field}:Q", title=unit, scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5))
    base = _base().encode(y=y, tooltip=_tips(**{field: unit}))
    chart: alt.Chart = (
        base.mark_bar(size=_BAR_WIDTH, color=_MAIN).add_params(_BARS)
        if bars
        else base.mark_line(interpolate="step-after", strokeWidth=2, color=_MAIN)
    )
    return chart


def _movers() -> Chart:
    chart: alt.Chart = (
        alt.Chart(alt.NamedData(name=ROWS))
        .transform_calculate(direction="datum.price_change_pct >= 0 ? 'up' : 'down'")
        .mark_bar()
        .encode(
            x=alt.X("price_change_pct:Q", title="% since the previous close", axis=alt.Axis(tickCount=6)),
            y=alt.Y("symbol:N", title=None, sort=None),
            color=_UP_OR_DOWN,
            tooltip=[alt.Tooltip("symbol:N", title="Symbol"), alt.Tooltip("price_change_pct:Q", format="+.2f")],
        )
    )
    return chart
