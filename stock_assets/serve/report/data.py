"""What the report shows, read with the statements of the panels and put together as one compact data set.

Belongs here: which rows are read, and their shape on the page. Does not belong here: drawing (`charts`, `page`).

The last year is kept by session, the whole history by week: ten years of twenty symbols by session would be three
times the size, on charts a few hundred points wide. Series are columns on one list of sessions of the exchange; a
session without a bar is null between a symbol's first and last, so that no line is drawn across it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from stock_assets.backends.interface import SqlSession
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
BY_SESSION = timedelta(days=365)
_EVERYTHING = Fragment("1 = 1")
_ROUGH_FROM = 10
"""From this price on two decimals are kept, else four."""


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        label: what the source calls itself.
        names: of companies, by symbol, of the symbols shown.
        first: first published session, or None if nothing is published.
        latest: the latest.
        daily: series by session of the last year.
        weekly: series by week of the whole history.
        tables: rows of the other panels, by name.
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


def gather(parts: PipelineParts) -> ReportData:
    """Read what is published."""
    label = parts.source.label
    with parts.backend.warehouse.open() as sql:
        names = create_views(sql)
        board = _rows(sql, "latest_board", names)
        known = {listing.symbol: listing.name for listing in parts.universe.listings}
        shown = {str(row["symbol"]): known.get(str(row["symbol"]), "") for row in board}
        latest = max((row["trade_date"] for row in board), default=None)
        if latest is None:
            return ReportData(label, shown, None, None, {}, {}, {})
        year = Fragment(f"trade_date > {literal(latest - BY_SESSION)}")
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
                "coverage": [row for row in coverage if row["time"].date() > latest - BY_SESSION],
                "volume_surges": _rows(sql, "volume_surges", names, year),
                "incomplete_sessions": _rows(sql, "incomplete_sessions", names, year),
                "quarantined_bars": _rows(sql, "quarantined_bars", names),
            },
        )


def _rows(
    sql: SqlSession, panel: str, names: Mapping[str, SqlValue], dates: SqlValue = _EVERYTHING
) -> list[dict[str, Any]]:
    rows = sql.query(PANELS[panel].select(names, dates=dates, symbols=_EVERYTHING))
    return list(rows.to_pylist())


_BySymbol = dict[str, dict[date, dict[str, Any]]]


def _merged(sql: SqlSession, names: Mapping[str, SqlValue], dates: SqlValue) -> _BySymbol:
    """Put the columns of all series side by side, by symbol and day."""
    merged: _BySymbol = {}
    for panel in SERIES:
        for row in _rows(sql, panel, names, dates):
            days = merged.setdefault(row.pop("symbol"), {})
            days.setdefault(row.pop("time").date(), {}).update(row)
    return merged


def _week_ends(first: date, latest: date) -> dict[date, date]:
    """Give, for every session, the last one of its week."""
    ends = {day.isocalendar()[:2]: day for day in sessions_between(first, latest)}
    return {day: ends[day.isocalendar()[:2]] for day in sessions_between(first, latest)}


def _on_one_list(merged: _BySymbol, place_of: Mapping[date, date]) -> dict[str, Any]:
    """Write every symbol's columns along the days, with null where it has no bar."""
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
    """Round to what a chart can show; a price of a few dollars keeps more decimals."""
    if name == "volume":
        return [None if value is None else round(value) for value in values]
    biggest = max((abs(value) for value in values if value is not None), default=0)
    digits = 2 if name.endswith(("_pct", "_ratio")) or biggest >= _ROUGH_FROM else 4
    return [None if value is None else round(value, digits) for value in values]
