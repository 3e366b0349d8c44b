"""The contracts of the views over the published tables: columns with type, unit and meaning, and who reads whom.

Belongs here: what readers and dashboards may rely on, and the order in which views are made. Does not belong here:
how a value is computed (`sql/serve`), or queries over views (`panels`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from stock_assets.backends.interface import SqlSession
from stock_assets.core.sql import Fragment, Name, SqlValue, Statement, statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, Column, ColumnType, Table

_TABLES = {"published_prices": DAILY_PRICES, "published_quarantine": QUARANTINED_PRICES}
TODAY = Fragment("CURRENT_DATE")
"""What a view that knows today asks the engine, whose day is UTC's."""


@dataclass(frozen=True)
class View:
    """One view, `published.<name>`, an asset of the same name.

    Attributes:
        name: the noun; its statement is `sql/serve/<name>.sql`.
        grain: columns that identify a row.
        columns: in order.
    """

    name: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> str:
        """Schema of the view, that of the tables it reads."""
        return DAILY_PRICES.schema

    @property
    def full_name(self) -> str:
        """Name in SQL."""
        return f"{self.schema}.{self.name}"

    @property
    def statement(self) -> Statement:
        """The SELECT behind it."""
        return statement(f"serve/{self.name}.sql")

    @property
    def sources(self) -> tuple["View | Table", ...]:
        """The tables and views it reads, sorted by name in SQL."""
        found = (RELATIONS[mark] for mark in self.statement.parameters if mark in RELATIONS)
        return tuple(sorted(found, key=lambda one: one.full_name))


def create_views(sql: SqlSession, wanted: Collection[str] | None = None) -> dict[str, SqlValue]:
    """Make views in a session, each after those it reads.

    Args:
        sql: the session.
        wanted: names of views, made with all they read; None means every one.

    Returns:
        the names in SQL of the published tables and of the views made, by the marks that stand for them.
    """
    names: dict[str, SqlValue] = {mark: sql.name(table) for mark, table in _TABLES.items()}
    for view in with_sources(VIEWS if wanted is None else wanted):
        names[view.name] = sql.create_view(view.name, view.statement.bind({**names, "today": TODAY}))
    return names


def plain_names() -> Mapping[str, SqlValue]:
    """Name tables and views without their schema, for a reader whose default it is."""
    tables = {mark: Name(table.name) for mark, table in _TABLES.items()}
    return {**tables, **{name: Name(name) for name in VIEWS}}


def with_sources(wanted: Collection[str]) -> Iterator[View]:
    """Give the views of these names and all that they read, each after those it reads."""
    needed: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [source.name for source in VIEWS[name].sources if isinstance(source, View)]
    return (view for view in VIEWS.values() if view.name in needed)


_BASIS = "on today's share basis"
_SYMBOL, _DATE = DAILY_PRICES.columns[:2]
_OHLC = tuple(
    Column(f"{name}_price", ColumnType.DOUBLE, f"{meaning}, {_BASIS}", "USD")
    for name, meaning in (("open", "First trade"), ("high", "Highest"), ("low", "Lowest"), ("close", "Official close"))
)
_VOLUME = Column("volume", ColumnType.DOUBLE, f"Shares that changed hands, {_BASIS}", "shares")
_RETURN = Column("daily_return", ColumnType.DOUBLE, f"close - open, {_BASIS}", "USD")
_AVERAGE_90D = Column(
    "avg_price_90d",
    ColumnType.DOUBLE,
    f"Mean avg_price of the last 90 calendar days, {_BASIS}; NULL until the history is that long",
    "USD",
)
_VOLATILITY = Column(
    "volatility_pct", ColumnType.DOUBLE, "Garman-Klass volatility of the day, the root of the published variance", "%"
)
_CHANGE, _SURGE, _CANDLE, _UP = (
    next(column for column in DAILY_PRICES.columns if column.name == name)
    for name in ("price_change_pct", "volume_surge_ratio", "candle_type", "is_market_up")
)
_TRENDS = (
    _SYMBOL,
    _DATE,
    *_OHLC,
    _VOLUME,
    _RETURN,
    Column("avg_price", ColumnType.DOUBLE, f"(open + high + low + close) / 4, {_BASIS}", "USD"),
    _AVERAGE_90D,
    Column("rolling_avg_5d", ColumnType.DOUBLE, f"Mean close of 5 sessions, {_BASIS}", "USD"),
    _VOLATILITY,
    Column(
        "volatility_21d_pct",
        ColumnType.DOUBLE,
        "Root of the mean variance of 21 sessions, in % a day; NULL with fewer, or across a halt of weeks",
        "%",
    ),
    _CHANGE,
    _SURGE,
)
_AS_TRADED = Column("close_as_traded", ColumnType.DOUBLE, "Official close, as traded", "USD")


def _count(name: str, meaning: str) -> Column:
    return Column(name, ColumnType.INTEGER, meaning)


def _share(name: str, meaning: str) -> Column:
    return Column(name, ColumnType.DOUBLE, meaning, "%")


_ALL = (
    View("adjusted_prices", DAILY_PRICES.grain, (_SYMBOL, _DATE, *_OHLC, _VOLUME)),
    View("price_trends", DAILY_PRICES.grain, (*_TRENDS, _CANDLE, _UP, _AS_TRADED)),
    View("weekly_trends", DAILY_PRICES.grain, (*_TRENDS, _UP, _AS_TRADED)),
    View("candles", DAILY_PRICES.grain, (_SYMBOL, _DATE, *_OHLC, _VOLUME, _UP, _CANDLE)),
    View(
        "latest_board",
        ("symbol",),
        (
            _SYMBOL,
            _DATE,
            Column("is_latest", ColumnType.BOOLEAN, "The row is of the latest session of the table"),
            _OHLC[-1],
            _CHANGE,
            _RETURN,
            _AVERAGE_90D,
            _VOLATILITY,
            _VOLUME,
            _SURGE,
            _CANDLE,
            _UP,
        ),
    ),
    View(
        "movers",
        DAILY_PRICES.grain,
        (
            _SYMBOL,
            _DATE,
            Column("close_price", ColumnType.DOUBLE, "Official close, as traded", "USD"),
            _CHANGE,
            _count("gain_rank", "1 for the largest gain of the session"),
            _count("loss_rank", "1 for the largest loss of the session"),
        ),
    ),
    View(
        "volume_surges",
        DAILY_PRICES.grain,
        (
            _SYMBOL,
            _DATE,
            Column("volume", ColumnType.INTEGER, "Shares that changed hands, as traded", "shares"),
            Column(
                "usual_volume",
                ColumnType.DOUBLE,
                "Mean volume of the 7 previous sessions, on this row's own share basis",
                "shares",
            ),
            _SURGE,
            _CHANGE,
        ),
    ),
    View(
        "market_breadth",
        ("trade_date",),
        (
            _DATE,
            _count("symbols", "Symbols with a bar"),
            _count("up_symbols", "Of these, closed above their open"),
            _share("up_share_pct", "up_symbols of symbols"),
            _count("advancers", "Closed above the previous close"),
            _count("decliners", "Closed below the previous close"),
        ),
    ),
    View(
        "coverage",
        ("trade_date",),
        (
            _DATE,
            _count("expected_symbols", "From their first bar until 30 days after their last"),
            _count("published_symbols", "With a published bar"),
            _count("quarantined_symbols", "With a bar in quarantine only"),
            _count("missing_symbols", "Without any bar"),
            _share("coverage_pct", "published_symbols of expected_symbols"),
            Column("days_since_previous", ColumnType.INTEGER, "Calendar days since the session before", "days"),
        ),
    ),
    View(
        "quarantine_by_audit",
        ("trade_date", "audit"),
        (_DATE, QUARANTINED_PRICES.columns[2], _count("bars", "Bars that failed it")),
    ),
    View(
        "split_events",
        DAILY_PRICES.grain,
        (_SYMBOL, _DATE, Column("split_ratio", ColumnType.DOUBLE, "New shares per old share", "ratio")),
    ),
    View(
        "freshness",
        (),
        (
            Column("latest_session", ColumnType.DATE, "Latest published session"),
            Column("days_old", ColumnType.INTEGER, "Calendar days since, by today's UTC date", "days"),
            Column("weekdays_missed", ColumnType.INTEGER, "Weekdays after it and before today", "days"),
        ),
    ),
)
VIEWS: dict[str, View] = {view.name: view for view in _ALL}
RELATIONS: dict[str, View | Table] = {**_TABLES, **VIEWS}
"""What a statement may read, by the mark that stands for it."""
