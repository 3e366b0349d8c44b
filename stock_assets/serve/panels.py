"""The panels of dashboards and reports: one statement each, with its columns and a description.

Belongs here: what all drawings of a panel have in common. Does not belong here: drawing (`report`, `infra/grafana`).

A statement under `sql/serve/panels` has two parameters for conditions, `dates` and `symbols`. A dashboard binds
Grafana's macros to them, a report the conditions of its time range. No panel computes a window function, because a
condition on dates would cut the left edge of the window; only the comparison begins at that edge on purpose.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stock_assets.core.sql import SqlValue, Statement, statement
from stock_assets.core.tables import Table
from stock_assets.serve.views import RELATIONS, View


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        name: its statement is `sql/serve/panels/<name>.sql`.
        title: heading.
        description: what it shows, in sentences.
        unit: unit of the axis, in words.
        columns: columns of the result, in order.
    """

    name: str
    title: str
    description: str
    unit: str
    columns: tuple[str, ...]

    @property
    def statement(self) -> Statement:
        """The SELECT of the panel."""
        return statement(f"serve/panels/{self.name}.sql")

    def select(self, names: Mapping[str, SqlValue], *, dates: SqlValue, symbols: SqlValue) -> str:
        """Return the SELECT with the names of its relations and its conditions bound."""
        return self.statement.bind({**names, "dates": dates, "symbols": symbols})


_SERIES = ("time", "symbol")
_PANELS = (
    Panel("symbols", "Symbols", "Symbols that can be selected.", "", ("symbol",)),
    Panel(
        "average_price",
        "Average price, 90 days",
        "The mean price of a session is (open + high + low + close) / 4; the line is its mean over the last 90 "
        "calendar days, split-adjusted. The line begins when 90 days of history are available.",
        "USD",
        (*_SERIES, "avg_price_90d"),
    ),
    Panel(
        "close_and_average",
        "Close and 5-day average",
        "The split-adjusted official close, and the mean close of the last 5 sessions.",
        "USD",
        (*_SERIES, "close_price", "rolling_avg_5d"),
    ),
    Panel(
        "comparison",
        "Comparison",
        "Split-adjusted closes of the selected symbols, as a percentage of their first close in the selected range: "
        "every line begins at 100.",
        "percent of the first close",
        (*_SERIES, "close_rebased"),
    ),
    Panel(
        "daily_return",
        "Daily return",
        "Close minus open, split-adjusted: the gain or loss of a share during the session.",
        "USD",
        (*_SERIES, "daily_return"),
    ),
    Panel(
        "volatility",
        "Volatility",
        "Garman-Klass volatility of each session, from open, high, low and close, in percent a day. The line shows the "
        "volatility of the last 21 sessions.",
        "percent a day",
        (*_SERIES, "volatility_pct", "volatility_21d_pct"),
    ),
    Panel(
        "volume",
        "Volume and surges",
        "Shares traded, split-adjusted. The surge ratio is the volume divided by the mean volume of the 7 previous "
        "sessions; a ratio of 2 or more is a surge.",
        "shares",
        (*_SERIES, "volume", "volume_surge_ratio"),
    ),
    Panel(
        "candlesticks",
        "Candlesticks",
        "Split-adjusted open, high, low and close: the thin line runs from low to high, the body from open to close.",
        "USD",
        (*_SERIES, "open", "high", "low", "close"),
    ),
    Panel(
        "price_history",
        "Price history",
        "Open, high, low, close and volume of each session as traded, the factor of its split adjustment, and the "
        "split-adjusted metrics of the session.",
        "USD",
        (
            *_SERIES,
            *("open", "high", "low", "close", "volume", "adjustment"),
            *("daily_return", "avg_price_90d", "rolling_avg_5d", "volatility_pct", "volatility_21d_pct"),
            "volume_surge_ratio",
        ),
    ),
    Panel(
        "board",
        "Board",
        "The latest session of each symbol, its split-adjusted returns until then, and the lowest and highest price of "
        "52 weeks. A return compares the close with the last close on or before the day one week, month or year "
        "earlier, or before the year; it is empty if the history is shorter.",
        "mixed",
        (
            *("symbol", "trade_date", "is_latest", "close_price", "price_change_pct"),
            *("return_1w_pct", "return_1m_pct", "return_ytd_pct", "return_1y_pct", "low_52w", "high_52w"),
            *("avg_price_90d", "volatility_pct", "volume", "volume_surge_ratio", "sessions"),
        ),
    ),
    Panel(
        "correlations",
        "Correlation",
        "Correlation of the daily price changes of two symbols: 1 if they move together, 0 if independently, -1 if "
        "against each other. It needs 20 common sessions.",
        "correlation",
        ("symbol", "other_symbol", "sessions", "correlation"),
    ),
    Panel(
        "market_breadth",
        "Market breadth",
        "Share of the symbols that closed above their open.",
        "percent of symbols",
        ("time", "up_share_pct", "up_symbols", "symbols"),
    ),
    Panel(
        "latest_board",
        "Latest board",
        "The latest session of each symbol. A symbol without a bar in the latest session of the table shows its own "
        "latest bar.",
        "mixed",
        (
            "symbol",
            "trade_date",
            "close_price",
            "price_change_pct",
            "daily_return",
            "avg_price_90d",
            "volatility_pct",
            "volume",
            "volume_surge_ratio",
            "candle_type",
            "is_latest",
        ),
    ),
    Panel(
        "movers",
        "Movers",
        "Split-adjusted change of each symbol in the latest session, from its previous close.",
        "percent",
        ("symbol", "price_change_pct", "close_price", "trade_date"),
    ),
    Panel(
        "volume_surges",
        "Volume surges",
        "Sessions with at least twice the mean volume of the 7 previous sessions, newest first, at most 100.",
        "mixed",
        ("trade_date", "symbol", "volume", "usual_volume", "volume_surge_ratio", "price_change_pct"),
    ),
    Panel(
        "splits",
        "Splits",
        "New shares per old share, on the first session after a split.",
        "ratio",
        (*_SERIES, "split_ratio"),
    ),
    Panel(
        "freshness",
        "Freshness",
        "Weekdays after the latest published session and before today (UTC): 0 if no session is late, 1 also after a "
        "holiday, 2 or more if a session is late.",
        "weekdays",
        ("latest_session", "days_old", "weekdays_missed"),
    ),
    Panel(
        "coverage",
        "Coverage by session",
        "Share of the expected symbols that are published. A symbol is expected from its first bar until 30 days "
        "after its last bar.",
        "percent of symbols",
        ("time", "coverage_pct", "expected_symbols", "published_symbols"),
    ),
    Panel(
        "latest_coverage",
        "Coverage of the latest session",
        "Share of the expected symbols that are published for the latest session.",
        "percent of symbols",
        ("coverage_pct",),
    ),
    Panel(
        "incomplete_sessions",
        "Incomplete sessions",
        "Sessions with missing symbols, and sessions for which no bar is published, newest first, at most 100.",
        "symbols",
        (
            "trade_date",
            "expected_symbols",
            "published_symbols",
            "quarantined_symbols",
            "missing_symbols",
            "days_since_previous",
        ),
    ),
    Panel(
        "audit_failures",
        "Audit failures",
        "Quarantined bars by the row audit that they failed. A rejected load is not in the tables: it appears here as "
        "missing coverage, and with its reason in Dagster.",
        "bars",
        ("time", "audit", "bars"),
    ),
    Panel(
        "quarantined_bars",
        "Quarantined rows",
        "Bars that failed a row audit, with the reason, newest first, at most 100.",
        "rows",
        ("trade_date", "symbol", "audit", "detail", "load_id"),
    ),
)
PANELS: dict[str, Panel] = {panel.name: panel for panel in _PANELS}


def relations_read(panels: Iterable[str]) -> list[View | Table]:
    """Return the tables and views that panels read, sorted by name."""
    parameters = {parameter for name in panels for parameter in PANELS[name].statement.parameters}
    return sorted((RELATIONS[name] for name in parameters & RELATIONS.keys()), key=lambda relation: relation.full_name)
