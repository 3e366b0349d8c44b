"""The panels of dashboards and reports: one statement each, with its columns and a sentence for who looks at it.

Belongs here: what every drawing of a panel has in common. Does not belong here: drawing (`report`, `infra/grafana`).

A statement under `sql/serve/panels` has two marks for conditions, `dates` and `symbols`. A dashboard binds macros of
its own there, a report what it shows. No window is computed in a panel: a date condition would cut its left edge.
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
        description: what it measures, in sentences.
        unit: of the axis, as words.
        columns: of the result, in order.
    """

    name: str
    title: str
    description: str
    unit: str
    columns: tuple[str, ...]

    @property
    def statement(self) -> Statement:
        """The SELECT behind it."""
        return statement(f"serve/panels/{self.name}.sql")

    def select(self, names: Mapping[str, SqlValue], *, dates: SqlValue, symbols: SqlValue) -> str:
        """Write the statement with the names of its relations and with conditions in place."""
        return self.statement.bind({**names, "dates": dates, "symbols": symbols})


_SERIES = ("time", "symbol")
_PANELS = (
    Panel("symbols", "Symbols", "The symbols to choose from.", "", ("symbol",)),
    Panel(
        "average_price",
        "Average price, 90 days",
        "The mean price of a session is (open + high + low + close) / 4; the line is its mean over the last 90 "
        "calendar days, on today's share basis. It begins when there are 90 days of history.",
        "USD",
        (*_SERIES, "avg_price_90d"),
    ),
    Panel(
        "close_and_average",
        "Close and 5-day average",
        "The official close on today's share basis, and the mean close of the last 5 sessions.",
        "USD",
        (*_SERIES, "close_price", "rolling_avg_5d"),
    ),
    Panel(
        "daily_return",
        "Daily return",
        "Close less open, per share on today's basis: what a share gained or lost between the bells.",
        "USD",
        (*_SERIES, "daily_return"),
    ),
    Panel(
        "volatility",
        "Volatility",
        "How widely the price moved within a session (Garman-Klass, from open, high, low and close, in percent a day); "
        "the line takes the last 21 sessions together.",
        "percent a day",
        (*_SERIES, "volatility_pct", "volatility_21d_pct"),
    ),
    Panel(
        "volume",
        "Volume and surges",
        "Shares traded, on today's share basis. The surge ratio is the volume over the mean of the 7 sessions before; "
        "at 2 or more it counts as a surge.",
        "shares",
        (*_SERIES, "volume", "volume_surge_ratio"),
    ),
    Panel(
        "candlesticks",
        "Candlesticks",
        "Open, high, low and close on today's share basis: the thin line runs from low to high, the body from open to "
        "close.",
        "USD",
        (*_SERIES, "open", "high", "low", "close"),
    ),
    Panel(
        "market_breadth",
        "Market breadth",
        "Share of the symbols that closed above their open (is_market_up).",
        "percent of symbols",
        ("time", "up_share_pct", "up_symbols", "symbols"),
    ),
    Panel(
        "latest_board",
        "Latest board",
        "The latest session of every symbol. A symbol without a bar in the latest session of the table shows its own "
        "last one.",
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
        "Change of each symbol in the latest session, since its previous close and after splits.",
        "percent",
        ("symbol", "price_change_pct", "close_price", "trade_date"),
    ),
    Panel(
        "volume_surges",
        "Volume surges",
        "Sessions with at least twice the mean volume of the 7 sessions before, newest first, 100 at most.",
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
        "Weekdays after the latest published session and before today (UTC): 0 when all is well, 1 also after a "
        "holiday, 2 or more when a session is late.",
        "weekdays",
        ("latest_session", "days_old", "weekdays_missed"),
    ),
    Panel(
        "coverage",
        "Coverage by session",
        "Share of the expected symbols that are published. A symbol is expected from its first bar until 30 days "
        "after its last.",
        "percent of symbols",
        ("time", "coverage_pct", "expected_symbols", "published_symbols"),
    ),
    Panel(
        "latest_coverage",
        "Coverage of the latest session",
        "Share of the expected symbols that the latest published session has.",
        "percent of symbols",
        ("coverage_pct",),
    ),
    Panel(
        "incomplete_sessions",
        "Incomplete sessions",
        "Sessions that lack a symbol, or come more than 4 days after the one before, newest first, 100 at most.",
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
        "Bars in quarantine by the row audit they failed. A load that was refused as a whole is not in the tables: it "
        "shows here as missing coverage, and with its reason in Dagster.",
        "bars",
        ("time", "audit", "bars"),
    ),
    Panel(
        "quarantined_bars",
        "Quarantined rows",
        "Bars that failed a row audit, with what it found, newest first, 100 at most.",
        "rows",
        ("trade_date", "symbol", "audit", "detail", "load_id"),
    ),
)
PANELS: dict[str, Panel] = {panel.name: panel for panel in _PANELS}


def relations_read(panels: Iterable[str]) -> list[View | Table]:
    """Return the tables and views that panels read, sorted by name."""
    marks = {mark for name in panels for mark in PANELS[name].statement.parameters}
    return sorted((RELATIONS[mark] for mark in marks & RELATIONS.keys()), key=lambda relation: relation.full_name)
