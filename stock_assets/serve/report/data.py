"""The data of the report: rows of the panels, combined into compact columns.

Belongs here: which rows are read, and their shape on the page. Does not belong here: texts (`page`), tables
(`tables`), drawing (`chart.js`).

Each symbol has one list per column, along one list of the exchange's sessions. A session without a bar between a
symbol's first and last bar is null, so that no line is drawn across it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from stock_assets.backends.interface import SqlConnection
from stock_assets.core.calendar import sessions_between
from stock_assets.core.sql import Fragment, SqlValue, literal
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.rejections import current_rejections
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import SymbolSummary, most_traded, only_symbols, read_summary
from stock_assets.serve.views import create_views

Row = Mapping[str, Any]

REPORT_PANELS = (
    "price_history",
    "board",
    "splits",
    "correlations",
    "market_breadth",
    "coverage",
    "volume_surges",
    "audit_failures",
    "quarantined_bars",
)
RECENT = timedelta(days=365)
MOST_CORRELATED = 40
"""Symbols on the correlation map; more names than these are not legible side by side."""
_EVERYTHING = Fragment("1 = 1")
_TWO_DECIMALS_FROM = 10
"""Averages from here on keep two decimals, smaller ones four. Prices and volumes keep all."""
_EXACT = {"open", "high", "low", "close", "volume", "adjustment"}


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        label: name of the source.
        symbols: number of published symbols.
        is_chosen: whether a user has chosen the drawn symbols.
        names: names of companies, by symbol, of the symbols that are drawn.
        days: all sessions of the exchange from the first to the latest published one.
        series: by drawn symbol, the place of its first bar in `days` and its columns from there on.
        tables: rows of the other panels, by panel.
        incomplete: sessions of the last year without every expected symbol, newest first.
        rejected: by incomplete session whose load was rejected, the audits that rejected it.
    """

    label: str
    symbols: int = 0
    is_chosen: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    days: Sequence[date] = ()
    series: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    incomplete: Sequence[Row] = ()
    rejected: Mapping[date, Sequence[str]] = field(default_factory=dict)

    @property
    def latest(self) -> date | None:
        """Latest published session."""
        return self.days[-1] if self.days else None


def read_report(parts: PipelineParts, symbols: Sequence[str] = ()) -> ReportData:
    """Read the data of the report from the published tables and views.

    Args:
        parts: the pipeline.
        symbols: symbols of the chart, the board and the correlations; by default those with the highest value of traded
            shares, at most `parts.report_symbols`. All other parts of the page are read from the rows of all symbols.

    Raises:
        NoData: no row of one of the symbols is published.
    """
    label = parts.source.label
    with parts.backend.warehouse.connect_to_read() as sql:
        names = create_views(sql)
        published = [row for row in read_summary(sql, names) if row.last_session is not None]
        if not published:
            return ReportData(label)
        chosen = only_symbols(published, symbols) or most_traded(published, parts.report_symbols)
        drawn = _condition(published, chosen)
        board = _rows(sql, "board", names, symbols=drawn)
        latest = max(row.last_session for row in published if row.last_session is not None)
        year = Fragment(f"trade_date > {literal(latest - RECENT)}")
        coverage = _rows(sql, "coverage", names)
        days = sessions_between(min(row["time"].date() for row in coverage), latest)
        tables = {
            "board": board,
            "splits": _rows(sql, "splits", names, symbols=drawn),
            "correlations": _rows(sql, "correlations", names, year, _is_one_of(most_traded(chosen, MOST_CORRELATED))),
            "market_breadth": _rows(sql, "market_breadth", names),
            "coverage": coverage,
            **{name: _rows(sql, name, names, year) for name in ("volume_surges", "audit_failures", "quarantined_bars")},
        }
        history = PANELS["price_history"].select(names, dates=_EVERYTHING, symbols=drawn)
        series = _series(sql.query(history).to_pydict(), days)
    incomplete = _incomplete(coverage, [day for day in days if day > latest - RECENT])
    with parts.backend.ledger.read() as ledger:
        rejections = current_rejections(parts, ledger, [row["trade_date"] for row in incomplete])
    return ReportData(
        label=label,
        symbols=len(published),
        is_chosen=bool(symbols),
        names={row["symbol"]: parts.universe.name_of(row["symbol"]) for row in board},
        days=days,
        series=series,
        tables=tables,
        incomplete=incomplete,
        rejected={day: rejection.audits for day, rejection in rejections.items()},
    )


def _condition(published: Sequence[SymbolSummary], drawn: Sequence[SymbolSummary]) -> SqlValue:
    """Return the condition on symbols of panels that draw single symbols."""
    return _EVERYTHING if len(drawn) == len(published) else _is_one_of(drawn)


def _is_one_of(symbols: Iterable[SymbolSummary]) -> SqlValue:
    return Fragment(f"symbol IN ({', '.join(literal(row.symbol) for row in symbols)})")


def _rows(
    sql: SqlConnection,
    panel: str,
    names: Mapping[str, SqlValue],
    dates: SqlValue = _EVERYTHING,
    symbols: SqlValue = _EVERYTHING,
) -> list[dict[str, Any]]:
    return list(sql.query(PANELS[panel].select(names, dates=dates, symbols=symbols)).to_pylist())


def _incomplete(coverage: Sequence[Row], days: Sequence[date]) -> list[Row]:
    """Return the sessions of the exchange with missing or quarantined symbols, and those without any bar."""
    found = {row["time"].date(): row for row in coverage}
    absent: Row = {"published_symbols": 0, "expected_symbols": None}
    return [
        {"trade_date": day, **{name: found.get(day, absent)[name] for name in absent}}
        for day in reversed(days)
        if day not in found or found[day]["published_symbols"] < found[day]["expected_symbols"]
    ]


def _series(history: Mapping[str, Sequence[Any]], days: Sequence[date]) -> dict[str, Any]:
    """Return each symbol's columns along the days, with null for days without a bar; the bars are sorted by symbol."""
    position = {day: number for number, day in enumerate(days)}
    place = [position.get(time.date()) for time in history["time"]]
    columns = {name: values for name, values in history.items() if name not in ("time", "symbol")}
    series = {}
    for symbol, bars in groupby(range(len(place)), key=history["symbol"].__getitem__):
        row_at = {number: row for row in bars if (number := place[row]) is not None}
        first, last = min(row_at), max(row_at)
        rows = [row_at.get(number) for number in range(first, last + 1)]
        lists = {name: [None if row is None else values[row] for row in rows] for name, values in columns.items()}
        series[symbol] = {"first": first, **{name: _rounded(name, values) for name, values in lists.items()}}
    return series


def _rounded(name: str, values: list[float | None]) -> list[float | None]:
    """Round metrics to the precision of a chart; JSON has no NaN."""
    known = [None if value is None or math.isnan(value) else value for value in values]
    if name in _EXACT:
        return known
    biggest = max((abs(value) for value in known if value is not None), default=0)
    digits = 2 if name.endswith("_ratio") or biggest >= _TWO_DECIMALS_FROM else 4
    return [None if value is None else round(value, digits) for value in known]
