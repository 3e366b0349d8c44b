"""The parts of the page that need no script: tiles, board, correlation map and tables.

Belongs here: rows as HTML. Does not belong here: reading rows (`data`), the page around them (`page`), sorting and
searching (`tables.js`).

Each number is rounded; its exact value is in the attribute `data-value`: the page sorts and downloads it.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape

from stock_assets.core.text import plural
from stock_assets.loads.audit_files import AuditKind, audit_names
from stock_assets.serve.panels import PANELS
from stock_assets.serve.report.data import RECENT, ReportData, Row

_SPARK_SESSIONS, _SPARK_WIDTH, _SPARK_HEIGHT = 63, 96, 24
_TEXTS = {"symbol", "trade_date", "audit", "detail", "load_id", "rejected_by"}
_HEADINGS = {
    "trade_date": "Session",
    "symbol": "Symbol",
    "close_price": "Close",
    "price_change_pct": "1D\u00a0%",
    "return_1w_pct": "1W\u00a0%",
    "return_1m_pct": "1M\u00a0%",
    "return_ytd_pct": "YTD\u00a0%",
    "return_1y_pct": "1Y\u00a0%",
    "low_52w": "52W low",
    "high_52w": "52W high",
    "avg_price_90d": "90-day avg",
    "volatility_pct": "Volatility %",
    "usual_volume": "Usual volume",
    "volume_surge_ratio": "Times usual",
    "rejected_by": "Load rejected by",
    "load_id": "Load",
}
_BOARD = (
    *("symbol", "close_price", "price_change_pct", "return_1w_pct", "return_1m_pct", "return_ytd_pct", "return_1y_pct"),
    *("low_52w", "high_52w", "volume", "volume_surge_ratio", "volatility_pct", "avg_price_90d", "trade_date"),
)
_RANGE_BEFORE = "low_52w"
"""The drawing of the 52-week range stands before this column."""
_WARNING = "warning"


def tiles(data: ReportData) -> str:
    """Render the tiles: last session, coverage, audits, quarantine."""
    if data.latest is None:
        return ""
    last = data.tables["coverage"][-1]
    year = [day for day in data.days if day > data.latest - RECENT]
    quarantined = sum(row["bars"] for row in data.tables["audit_failures"])
    blocking = sum(len(audit_names(kind)) for kind in AuditKind if kind is not AuditKind.WARNING)
    missing = last["expected_symbols"] - last["published_symbols"]
    complete = len(year) - len(data.incomplete)
    return "".join(
        (
            _tile(
                "Last session",
                f"{data.latest:%a %Y-%m-%d}",
                f"{last['published_symbols']:,} of {plural(last['expected_symbols'], 'symbol')}",
                warns=missing > 0,
            ),
            _tile(
                "Coverage, 12 months",
                _percent(complete, len(year)),
                f"{complete} of {plural(len(year), 'session')} complete",
                warns=bool(data.incomplete),
            ),
            _tile(
                "Audits, 12 months",
                plural(len(data.rejected), "rejected session") if data.rejected else "Passed",
                f"{plural(blocking, 'audit')} before each publish",
                warns=bool(data.rejected),
            ),
            _tile(
                "Quarantine, 12 months",
                plural(quarantined, "bar"),
                "failed a row audit" if quarantined else "no bar failed a row audit",
                warns=quarantined > 0,
            ),
        )
    )


def _tile(title: str, value: str, detail: str, *, warns: bool) -> str:
    mark = '<span class="mark" aria-hidden="true">!</span>' if warns else ""
    kind = f" {_WARNING}" if warns else ""
    return f'<div class="tile{kind}"><h2>{title}</h2><p class="value">{value}{mark}</p><p>{detail}</p></div>'


def _percent(part: int, whole: int) -> str:
    """Format a share; only a complete one is 100 %."""
    share = 100 * part / whole
    return f"{min(share, 99.9) if part < whole else share:.3g} %"


def board(data: ReportData) -> str:
    """Render one row per symbol: returns, 52-week range and the closes of the last months."""
    if data.latest is None:
        return ""
    head = ""
    for name in _BOARD:
        if name == _RANGE_BEFORE:
            head += '<th scope="col">52-week range</th>'
        head += _heading(name)
        if name == "symbol":
            head += '<th scope="col">3 months</th>'
    body = "".join(_board_row(data, row) for row in data.tables["board"])
    return _scroll("board", PANELS["board"].title, PANELS["board"].description, head, body)


def _board_row(data: ReportData, row: Row) -> str:
    symbol, name = escape(row["symbol"]), escape(data.names[row["symbol"]])
    cells = (
        f'<th scope="row" data-value="{symbol}"><button type="button" data-symbol="{symbol}">{symbol}</button>'
        f'<span class="company">{name}</span></th><td>{_spark(data, row["symbol"])}</td>'
    )
    for column in _BOARD[1:]:
        if column == _RANGE_BEFORE:
            cells += f"<td>{_range(row)}</td>"
        cells += _cell(column, row[column])
    return f"<tr{'' if row['is_latest'] else ' class=old'}>{cells}</tr>"


def _range(row: Row) -> str:
    """Render where the close is between the lowest and highest price of 52 weeks."""
    low, high = row["low_52w"], row["high_52w"]
    share = (row["close_price"] - low) / (high - low) if high > low else 0.5
    return (
        '<svg class="range" viewBox="0 0 96 12" aria-hidden="true"><path d="M2 6H94"/>'
        f'<circle cx="{2 + 92 * share:.1f}" cy="6" r="4"/></svg>'
    )


def _spark(data: ReportData, symbol: str) -> str:
    """Render the split-adjusted closes of the last months as a small line, interrupted at sessions without a bar."""
    own = data.series[symbol]
    pairs = list(zip(own["close"], own["adjustment"], strict=True))[-_SPARK_SESSIONS:]
    closes = [None if close is None else close * adjustment for close, adjustment in pairs]
    available = [close for close in closes if close is not None]
    low, span = min(available), max(available) - min(available)
    step = (_SPARK_WIDTH - 4) / max(len(closes) - 1, 1)
    path, pen, x, y = "", "M", 0.0, 0.0
    for number, close in enumerate(closes):
        if close is None:
            pen = "M"
            continue
        x = 2 + number * step
        y = _SPARK_HEIGHT - 3 - (_SPARK_HEIGHT - 6) * ((close - low) / span if span else 0.5)
        path += f"{pen}{x:.1f} {y:.1f}"
        pen = "L"
    kind = "up" if available[-1] >= available[0] else "down"
    return (
        f'<svg class="spark {kind}" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" aria-hidden="true">'
        f'<path d="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2"/></svg>'
    )


def correlations(data: ReportData) -> str:
    """Render the correlation of each two symbols as a table whose colours show the sign and strength."""
    found = {(row["symbol"], row["other_symbol"]): row["correlation"] for row in data.tables.get("correlations", ())}
    # The correlation of constant prices is not a number.
    known = {pair: value for pair, value in found.items() if value is not None and not math.isnan(value)}
    if not known:
        needs = "two symbols" if len(data.names) < 2 else "20 common sessions of two symbols"  # noqa: PLR2004 (a pair)
        return f'<p class="note">The correlation map needs {needs}; {plural(len(data.days), "session")} published.</p>'
    symbols = sorted({symbol for pair in found for symbol in pair})
    head = '<th scope="col">Symbol</th>' + "".join(
        f'<th scope="col"><span>{escape(symbol)}</span></th>' for symbol in symbols
    )
    body = ""
    for one in symbols:
        cells = ""
        for other in symbols:
            value = 1.0 if one == other else known.get((min(one, other), max(one, other)))
            if value is None:
                cells += "<td>&ndash;</td>"
                continue
            kind = "same" if one == other else "pos" if value >= 0 else "neg"
            cells += f'<td class="{kind}" style="--strength:{abs(value):.2f}">{round(value, 2) + 0:.2f}</td>'
        body += f'<tr><th scope="row">{escape(one)}</th>{cells}</tr>'
    description = PANELS["correlations"].description
    if len(symbols) < len(data.names):
        description += f" The map has the {plural(len(symbols), 'symbol')} with the highest value of traded shares."
    return f'<p class="note">{escape(description)}</p>{_scroll("correlations", "Correlation", "", head, body)}'


def incomplete_sessions(data: ReportData) -> str:
    """Render the sessions of the exchange without every expected symbol."""
    columns = ("trade_date", "published_symbols", "expected_symbols", "rejected_by")
    rows = [{**row, "rejected_by": ", ".join(data.rejected.get(row["trade_date"], ()))} for row in data.incomplete]
    description = (
        "Sessions of the exchange in the last 12 months for which expected symbols are missing or quarantined, newest "
        "first. A symbol is expected from its first bar until 30 days after its last bar."
    )
    return table("Incomplete sessions", description, columns, rows, printed=True)


def panel_table(name: str, data: ReportData, *, printed: bool = False) -> str:
    """Render the rows of a panel; on paper only their number, unless they are `printed`."""
    panel = PANELS[name]
    columns = [column for column in panel.columns if column != "time"]
    if "time" in panel.columns:
        columns = ["trade_date", *columns]
    rows = [{"trade_date": row["time"].date(), **row} if "time" in row else row for row in data.tables.get(name, ())]
    return table(panel.title, panel.description, columns, rows, printed=printed)


def table(title: str, description: str, columns: Sequence[str], rows: Sequence[Row], *, printed: bool) -> str:
    """Render rows below a heading that opens them."""
    if not rows:
        return f'<p class="none">{escape(title)}: none.</p>'
    head = "".join(map(_heading, columns))
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    return (
        f"<details{' class=print' if printed else ''}><summary>{escape(title)} ({len(rows)})</summary>"
        f"{_scroll('', title, description, head, body)}</details>"
    )


def _cells(columns: Iterable[str], row: Row) -> str:
    return "".join(_cell(column, row[column]) for column in columns)


def _scroll(kind: str, title: str, description: str, head: str, body: str) -> str:
    caption = f"<caption>{escape(description)}</caption>" if description else ""
    return (
        f'<div class="scroll {kind}" tabindex="0" role="region" aria-label="{escape(title)}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _shares(value: float) -> str:
    """Format a number of shares with three digits, as the charts do."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"


def _heading(column: str) -> str:
    kind = "" if column in _TEXTS else ' class="number"'
    title = _HEADINGS.get(column, column.replace("_", " ").capitalize())
    return f'<th scope="col" data-column="{column}"{kind}>{escape(title)}</th>'


def _cell(column: str, value: object) -> str:
    """Render a value; a change has a sign and an arrow, not only a colour."""
    if value is None:
        return '<td class="number" data-value="">&ndash;</td>'
    exact = f' data-value="{escape(str(value))}"'
    if column.startswith(("price_change", "return_")) and isinstance(value, float):
        kind = "up" if value > 0 else "down" if value < 0 else ""
        return f'<td class="number {kind}"{exact}>{value:+,.2f}</td>'
    if column == "volume" and isinstance(value, int | float):
        return f'<td class="number"{exact}>{_shares(value)}</td>'
    if isinstance(value, int | float):
        digits = 0 if column.endswith("volume") or isinstance(value, int) else 2
        return f'<td class="number"{exact}>{value:,.{digits}f}</td>'
    text = value.isoformat() if isinstance(value, date) else str(value)
    return f"<td{exact}>{escape(text)}</td>"
