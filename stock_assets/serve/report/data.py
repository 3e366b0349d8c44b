"""The data of the report: rows of the panels, combined into one compact data set.

Belongs here: which rows are read, and their shape on the page. Does not belong here: drawing (`charts`, `page`).

The last year is stored by session, the whole history by week: ten years of twenty symbols by session would be three
times the size, on charts a few hundred points wide. Series are columns on one list of the exchange's sessions; a
session without a bar between a symbol's first and last bar is null, so that no line is drawn across it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from stock_assets.backends.interface import SqlConnection
from stock_assets.core.calendar import sessions_between
from stock_assets.core.sql import Fragment, SqlValue, literal
from stock_assets.ingest.parts import PipelineParts
from stock_assets.serve.panels import PANELS
from stock_assets.serve.views import create_views

Row = Mapping[str, Any]

SERIES = ("average_price", "close_and_average", "daily_return", "volatility", "volume", "candlesticks")
OTHERS = (
    "latest_board",
    "movers",
    "splits",
    "market_breadth",
    "coverage",
    "volume_surges",
    "incomplete_sessions",
    "quarantined_bars",
)
RECENT = timedelta(days=365)
_EVERYTHING = Fragment("1 = 1")
_TWO_DECIMALS_FROM = 10
"""Prices from here on keep two decimals, smaller ones four."""


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        label: name of the source.
        names: names of companies, by symbol.
        first: first published session, or None if nothing is published.
        latest: latest published session, or None.
        daily: series by session, of the last year.
        weekly: series by week, of the whole history.
        tables: rows of the other panels, by panel.
    """

    label: str
    names: Mapping[str, str]
    first: date | None
    latest: date | None
    daily: Mapping[str, Any]
    weekly: Mapping[str, Any]
    tables: Mapping[str, Sequence[Row]]

    @property
    def symbols(self) -> list[str]:
        """Tickers, sorted."""
        return sorted(self.names)


def read_report(parts: PipelineParts) -> ReportData:
    """Read the data of the report from the published tables and views."""
    label = parts.source.label
    with parts.backend.warehouse.connect_to_read() as sql:
        names = create_views(sql)
        board = _rows(sql, "latest_board", names)
        shown = {str(row["symbol"]): parts.universe.name_of(str(row["symbol"])) for row in board}
        latest = max((row["trade_date"] for row in board), default=None)
        if latest is None:
            return ReportData(label, shown, None, None, {}, {}, {})
        year = Fragment(f"trade_date > {literal(latest - RECENT)}")
        by_week = {**names, "price_trends": names["weekly_trends"], "candles": names["weekly_trends"]}
        weekly = _merged(sql, by_week, _EVERYTHING)
        daily = _merged(sql, names, year)
        coverage = _rows(sql, "coverage", names)
        first = coverage[0]["time"].date()
        recent = min(day for days in daily.values() for day in days)
        return ReportData(
            label=label,
            names=shown,
            first=first,
            latest=latest,
            daily=_on_one_list(daily, {day: day for day in sessions_between(recent, latest)}),
            weekly=_on_one_list(weekly, _week_ends(first, latest)),
            tables={
                "latest_board": board,
                "movers": _rows(sql, "movers", names),
                "splits": _rows(sql, "splits", names),
                "market_breadth": _rows(sql, "market_breadth", names, year),
                "coverage": [row for row in coverage if row["time"].date() > latest - RECENT],
                "volume_surges": _rows(sql, "volume_surges", names, year),
                "incomplete_sessions": _incomplete(_rows(sql, "incomplete_sessions", names, year), coverage, latest),
                "quarantined_bars": _rows(sql, "quarantined_bars", names),
            },
        )


def _rows(
    sql: SqlConnection, panel: str, names: Mapping[str, SqlValue], dates: SqlValue = _EVERYTHING
) -> list[dict[str, Any]]:
    rows = sql.query(PANELS[panel].select(names, dates=dates, symbols=_EVERYTHING))
    return list(rows.to_pylist())


def _incomplete(rows: Sequence[Row], coverage: Sequence[Row], latest: date) -> list[Row]:
    """Return the incomplete sessions of the last year: those with missing symbols, and those without any bar.

    The panel has no exchange calendar and finds a session without any bar by the days around it. The report has the
    calendar, and names the session itself.
    """
    with_bars = {row["time"].date() for row in coverage}
    first = max(min(with_bars), latest - RECENT + timedelta(days=1))
    absent: list[Row] = [
        {**dict.fromkeys(PANELS["incomplete_sessions"].columns), "trade_date": day, "published_symbols": 0}
        for day in sessions_between(first, latest)
        if day not in with_bars
    ]
    partial = [row for row in rows if row["published_symbols"] < row["expected_symbols"]]
    return sorted([*partial, *absent], key=lambda row: row["trade_date"], reverse=True)


_BySymbol = dict[str, dict[date, dict[str, Any]]]


def _merged(sql: SqlConnection, names: Mapping[str, SqlValue], dates: SqlValue) -> _BySymbol:
    """Return the columns of all series, by symbol and day."""
    merged: _BySymbol = {}
    for panel in SERIES:
        for row in _rows(sql, panel, names, dates):
            days = merged.setdefault(row.pop("symbol"), {})
            days.setdefault(row.pop("time").date(), {}).update(row)
    return merged


def _week_ends(first: date, latest: date) -> dict[date, date]:
    """Return the last session of the week of every session."""
    ends = {day.isocalendar()[:2]: day for day in sessions_between(first, latest)}
    return {day: ends[day.isocalendar()[:2]] for day in sessions_between(first, latest)}


def _on_one_list(merged: _BySymbol, place_of: Mapping[date, date]) -> dict[str, Any]:
    """Return each symbol's columns along the days, with null for days without a bar."""
    days = sorted(set(place_of.values()))
    position = {day: number for number, day in enumerate(days)}
    series = {}
    for symbol, bars in sorted(merged.items()):
        placed = {position[place_of[day]]: row for day, row in bars.items() if day in place_of}
        first, last = min(placed), max(placed)
        names = next(iter(placed.values()))
        columns = {name: [placed.get(n, {}).get(name) for n in range(first, last + 1)] for name in names}
        series[symbol] = {"first": first, "columns": {name: _rounded(name, of) for name, of in columns.items()}}
    return {"days": [day.isoformat() for day in days], "symbols": series}


def _rounded(name: str, values: Sequence[float | None]) -> list[float | None]:
    """Round values to the precision of a chart; prices of a few dollars keep more decimals."""
    if name == "volume":
        return [None if value is None else round(value) for value in values]
    biggest = max((abs(value) for value in values if value is not None), default=0)
    digits = 2 if name.endswith(("_pct", "_ratio")) or biggest >= _TWO_DECIMALS_FROM else 4
    return [None if value is None else round(value, digits) for value in values]
