"""The page of the report: one self-contained HTML file.

Belongs here: combining texts, tables, data and scripts. Does not belong here: rows (`data`), charts (`charts`). HTML,
style and script of the page are files in this folder.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from html import escape
from importlib.resources import files
from typing import Any

import vl_convert

from stock_assets.serve.panels import PANELS
from stock_assets.serve.report.charts import charts
from stock_assets.serve.report.data import SERIES, ReportData, Row

_MARKET = ("market_breadth", "movers", "coverage")
NO_BAR = "\N{MULTIPLICATION SIGN}"
_QUARTER = 63
_SPARK_WIDTH = 96
_TEXTS = {"symbol", "trade_date", "candle_type", "audit", "detail", "load_id"}
_HEADINGS = {
    "trade_date": "Session",
    "symbol": "Symbol",
    "close_price": "Close, USD",
    "price_change_pct": "Change, %",
    "daily_return": "Daily return, USD",
    "avg_price_90d": "90-day average, USD",
    "volatility_pct": "Volatility, %",
    "volume": "Volume, shares",
    "usual_volume": "Usual volume",
    "volume_surge_ratio": "Times the usual",
    "candle_type": "Candle",
    "load_id": "Load",
}


def render_page(data: ReportData, rendered_at: datetime) -> str:
    """Render the whole page."""
    return _fill(
        _file("page.html"),
        {
            "title": escape(f"Daily stock prices: {data.label}"),
            "label": escape(data.label),
            "status": _status(data, rendered_at),
            "style": _file("page.css"),
            "options": "".join(
                f'<option value="{escape(symbol)}">{escape(symbol)}{escape(f" · {name}" if name else "")}</option>'
                for symbol, name in sorted(data.names.items())
            ),
            "board": _board(data),
            "figures": "".join(_figure(name) for name in SERIES),
            "market": "".join(_figure(name) for name in _MARKET),
            "surges": _table("volume_surges", data),
            "incomplete": _table("incomplete_sessions", data),
            "quarantine": _table("quarantined_bars", data),
            # The data must not contain the end tag of their script element.
            "data": json.dumps(_for_script(data), separators=(",", ":")).replace("</", "<\\/"),
            "script": _file("page.js"),
            "library": _library() if data.latest else "",
            "empty": "" if data.latest else "empty",
        },
    )


def _splits(data: ReportData, symbol: str) -> dict[str, str]:
    """Return the label of each split of a symbol, by day."""
    return {
        f"{row['time']:%Y-%m-%d}": f"{row['split_ratio']:g}:1 split"
        for row in data.tables["splits"]
        if row["symbol"] == symbol
    }


def _for_script(data: ReportData) -> dict[str, Any]:
    """Return the data that the script draws."""
    if data.latest is None:
        return {}
    shared = {
        "market_breadth": [[f"{row['time']:%Y-%m-%d}", row["up_share_pct"]] for row in data.tables["market_breadth"]],
        "coverage": [[f"{row['time']:%Y-%m-%d}", row["coverage_pct"]] for row in data.tables["coverage"]],
        "movers": [[row["symbol"], round(row["price_change_pct"], 4)] for row in data.tables["movers"]],
    }
    return {
        "daily": data.daily,
        "weekly": data.weekly,
        "splits": {symbol: _splits(data, symbol) for symbol in data.symbols},
        "shared": shared,
        "charts": charts(),
        "panels": {
            name: {"title": PANELS[name].title, "unit": PANELS[name].unit, "columns": list(PANELS[name].columns)}
            for name in (*SERIES, *_MARKET)
        },
    }


def _status(data: ReportData, rendered_at: datetime) -> str:
    rendered = f"Rendered {rendered_at:%Y-%m-%d %H:%M} UTC."
    if data.first is None:
        return f"Nothing is published yet. {rendered}"
    return f"Latest session {data.latest}, {len(data.names)} symbols, history from {data.first}. {rendered}"


def _figure(name: str) -> str:
    panel = PANELS[name]
    return (
        f'<figure id="{name}"><h3 id="{name}-title">{escape(panel.title)} <span class="of"></span></h3>'
        f'<div class="chart" role="img" aria-labelledby="{name}-title"></div>'
        f"<figcaption>{escape(panel.description)}</figcaption>"
        f'<details><summary>{escape(panel.title)} as a table</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(panel.title)}, table"></div></details></figure>'
    )


def _board(data: ReportData) -> str:
    if data.latest is None:
        return ""
    panel = PANELS["latest_board"]
    # The most important columns come first, where the table is wider than the screen.
    first = ("symbol", "close_price", "price_change_pct")
    columns = [
        *first,
        *(name for name in panel.columns if name not in (*first, "is_latest", "trade_date")),
        "trade_date",
    ]
    head = f'{_heading(columns[0])}<th scope="col">3 months</th>{"".join(map(_heading, columns[1:]))}'
    body = "".join(
        f'<tr{"" if row["is_latest"] else " class=old"}><th scope="row"><button type="button" '
        f'data-symbol="{escape(row["symbol"])}">{escape(row["symbol"])}</button></th>'
        f"<td>{_spark(data, row['symbol'])}</td>" + "".join(_cell(name, row[name]) for name in columns[1:]) + "</tr>"
        for row in data.tables["latest_board"]
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(panel.title)}"><table><caption>'
        f"{escape(panel.description)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _table(name: str, data: ReportData) -> str:
    rows: Sequence[Row] = data.tables.get(name, [])
    panel = PANELS[name]
    if not rows:
        return f"<p>{escape(panel.title)}: none.</p>"
    head = "".join(map(_heading, panel.columns))
    body = "".join(f"<tr>{''.join(_cell(column, row[column]) for column in panel.columns)}</tr>" for row in rows)
    return (
        f"<details><summary>{escape(panel.title)} ({len(rows)})</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(panel.title)}"><table><caption>'
        f"{escape(panel.description)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def _heading(column: str) -> str:
    kind = "" if column in _TEXTS else ' class="number"'
    return f'<th scope="col"{kind}>{escape(_HEADINGS.get(column, column.replace("_", " ").capitalize()))}</th>'


def _cell(column: str, value: object) -> str:
    if value is None:
        return '<td class="number">&ndash;</td>'
    if column in ("price_change_pct", "daily_return") and isinstance(value, float):
        arrow, kind = ("▲", "up") if value > 0 else ("▼", "down") if value < 0 else ("", "")
        return f'<td class="number {kind}">{arrow} {value:+,.2f}</td>'
    if isinstance(value, int | float):
        digits = 0 if column.endswith("volume") or isinstance(value, int) else 2
        return f'<td class="number">{value:,.{digits}f}</td>'
    return f"<td>{escape(value.isoformat() if isinstance(value, date) else str(value).replace('_', ' '))}</td>"


def _spark(data: ReportData, symbol: str) -> str:
    """Render the closes of the last months as a small line, interrupted at sessions without a bar."""
    closes = data.daily["symbols"].get(symbol, {"columns": {"close_price": []}})["columns"]["close_price"]
    recent = closes[-_QUARTER:]
    available = [close for close in recent if close is not None]
    if not available:
        return ""
    low, span = min(available), (max(available) - min(available)) or 1.0
    path, pen = "", "M"
    for number, close in enumerate(recent):
        if close is None:
            pen = "M"
            continue
        path += f"{pen}{number * _SPARK_WIDTH / _QUARTER:.0f} {20 - 18 * (close - low) / span:.1f}"
        pen = "L"
    return f'<svg class="spark" viewBox="0 0 96 22" aria-hidden="true"><path d="{path}"/></svg>'


def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; vl-convert builds it once per process, in a second."""
    # Without a snippet the script exports the libraries' names; the type stub requires one nevertheless.
    library: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return library


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each `{{name}}` once; inserted text is not searched again."""
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [values[name], rest]
    return "".join(filled)
