"""The page of the report: one self-contained HTML file.

Belongs here: combining texts, tables, data and scripts. Does not belong here: rows (`data`), tables (`tables`), drawing
(`chart.js`). HTML, style and scripts of the page are files in this folder.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any

from stock_assets.core.text import plural
from stock_assets.serve.panels import PANELS
from stock_assets.serve.report import tables
from stock_assets.serve.report.data import ReportData

MARKET = ("market_breadth", "coverage")
_LINES = ("average_price", "close_and_average", "volatility", "daily_return", "volume")
"""Panels whose descriptions explain the lines of the price chart."""


def render_page(data: ReportData, rendered_at: datetime, *, version: str = "") -> str:
    """Render the whole page.

    Args:
        data: everything on the page.
        rendered_at: aware, UTC.
        version: state of the published tables, by which a page that a server sends detects a newer one; empty for a
            file.
    """
    return _fill(
        _file("page.html"),
        {
            "title": escape(f"Daily stock prices: {data.label}"),
            "label": escape(data.label),
            "status": _status(data, rendered_at),
            "drawn": _drawn(data),
            "style": _file("page.css"),
            "version": escape(version),
            "tiles": tables.tiles(data),
            "options": "".join(
                f'<option value="{escape(symbol)}">{escape(symbol)}{escape(f" · {name}" if name else "")}</option>'
                for symbol, name in sorted(data.names.items())
            ),
            "meanings": "".join(
                f"<dt>{escape(PANELS[name].title)}</dt><dd>{escape(PANELS[name].description)}</dd>" for name in _LINES
            ),
            "board": tables.board(data),
            "correlations": tables.correlations(data) if data.latest else "",
            "market": "".join(_figure(name) for name in MARKET),
            "surges": tables.panel_table("volume_surges", data),
            "incomplete": tables.incomplete_sessions(data),
            "audits": tables.panel_table("audit_failures", data, printed=True),
            "quarantine": tables.panel_table("quarantined_bars", data, printed=True),
            "data": _packed(_for_script(data)) if data.latest else "",
            "chart": _file("chart.js"),
            "values": _file("values.js"),
            "tables": _file("tables.js"),
            "script": _file("page.js"),
            "empty": "" if data.latest else "empty",
        },
    )


def _for_script(data: ReportData) -> dict[str, Any]:
    """Return the data that the script draws."""
    return {
        "days": [day.isoformat() for day in data.days],
        "names": dict(data.names),
        "series": data.series,
        "splits": _splits(data),
        "board": {
            row["symbol"]: {
                name: value for name, value in row.items() if name.startswith(("return_", "price_change", "is_latest"))
            }
            for row in data.tables["board"]
        },
        "market": {
            "market_breadth": {
                f"{row['time']:%Y-%m-%d}": round(row["up_share_pct"], 2) for row in data.tables["market_breadth"]
            },
            "coverage": {f"{row['time']:%Y-%m-%d}": round(row["coverage_pct"], 2) for row in data.tables["coverage"]},
        },
    }


def _splits(data: ReportData) -> dict[str, dict[str, str]]:
    """Return the splits of each drawn symbol by their first session."""
    found: dict[str, dict[str, str]] = {symbol: {} for symbol in data.names}
    for row in data.tables["splits"]:
        found[row["symbol"]][f"{row['time']:%Y-%m-%d}"] = f"{row['split_ratio']:g}:1"
    return found


def _packed(content: Mapping[str, Any]) -> str:
    """Return content as compressed JSON in Base64: a third of its size, and no text that could end the element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _status(data: ReportData, rendered_at: datetime) -> str:
    rendered = f"Rendered {rendered_at:%Y-%m-%d %H:%M} UTC."
    if data.latest is None:
        return f"Nothing is published yet. Load sessions with: stock-assets backfill FIRST LAST. {rendered}"
    return f"{plural(data.symbols, 'symbol')}, {data.days[0]} to {data.latest}. {rendered}"


def _drawn(data: ReportData) -> str:
    """Render the paragraph about the selection of symbols; empty if the page draws all symbols."""
    if len(data.names) == data.symbols:
        return ""
    which = "those that were chosen" if data.is_chosen else "those with the highest value of traded shares"
    return (
        f'<p class="status">Chart, board and correlations have {len(data.names):,} of '
        f"{plural(data.symbols, 'symbol')}: {which}. All other parts of the page describe all symbols. To draw others: "
        "<code>stock-assets report --symbol NVDA</code>; to draw more: <code>STOCK_ASSETS_REPORT_SYMBOLS</code>.</p>"
    )


def _figure(name: str) -> str:
    panel = PANELS[name]
    return (
        f'<figure class="card"><h3>{escape(panel.title)}, {escape(panel.unit)}</h3>'
        f'<p class="readout" id="{name}-readout"></p><div class="chart" id="{name}"></div>'
        f"<figcaption>{escape(panel.description)}</figcaption></figure>"
    )


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
