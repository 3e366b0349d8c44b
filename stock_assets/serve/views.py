"""The contracts of the views over the published tables: columns with type, unit and meaning, and dependencies.

Belongs here: what consumers and dashboards may rely on, and the order in which views are created. Does not belong here:
how a value is computed (`sql/serve`), or queries over views (`panels`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from stock_assets.backends.interface import Backend, SqlConnection
from stock_assets.core.sql import Fragment, Name, SqlValue, Statement, statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, Column, ColumnType, Table

_TABLES = {"published_prices": DAILY_PRICES, "published_quarantine": QUARANTINED_PRICES}
_ATTEMPTS = 5
TODAY = Fragment("CURRENT_DATE")
"""Expression for today in views that need it; all engines use the day in UTC."""


@dataclass(frozen=True)
class View:
    """One view, `published.<name>`, an asset of the same name.

    Attributes:
        name: name without the schema; its statement is `sql/serve/<name>.sql`.
        grain: columns that identify a row.
        columns: columns of the result, in order.
    """

    name: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> str:
        """Schema of the view: the schema of the tables that it reads."""
        return DAILY_PRICES.schema

    @property
    def full_name(self) -> str:
        """Name in SQL."""
        return f"{self.schema}.{self.name}"

    @property
    def statement(self) -> Statement:
        """The SELECT of the view."""
        return statement(f"serve/{self.name}.sql")

    @property
    def dependencies(self) -> tuple["View | Table", ...]:
        """The tables and views that the view reads, sorted by their name in SQL."""
        found = (RELATIONS[name] for name in self.statement.parameters if name in RELATIONS)
        return tuple(sorted(found, key=lambda relation: relation.full_name))


def create_views(sql: SqlConnection, views: Collection[str] | None = None) -> dict[str, SqlValue]:
    """Create views in a session, each after its dependencies.

    Args:
        sql: the session.
        views: names of views; their dependencies are created too. None means all views.

    Returns:
        the names in SQL of the published tables and of the created views, by the parameters of statements.
    """
    names: dict[str, SqlValue] = {parameter: sql.name(table) for parameter, table in _TABLES.items()}
    for view in with_dependencies(VIEWS if views is None else views):
        names[view.name] = sql.create_view(view.name, view.statement.bind({**names, "today": TODAY}))
    return names


def store_views(backend: Backend) -> None:
    """Create or update all views for other tools: in the catalog, or in a file of the local backend."""
    for _ in range(_ATTEMPTS):
        with backend.warehouse.connect() as sql:
            create_views(sql)
            if sql.store_views():
                return
    # Another process publishes without a pause, and stores the views after each publish.


def refresh_views(backend: Backend) -> None:
    """Update stored views that name snapshots, after other snapshots have become current, or before some expire."""
    if backend.warehouse.views_name_snapshots:
        store_views(backend)


def unqualified_names() -> Mapping[str, SqlValue]:
    """Return the names of tables and views without their schema, for clients with a default schema."""
    tables = {parameter: Name(table.name) for parameter, table in _TABLES.items()}
    return {**tables, **{name: Name(name) for name in VIEWS}}


def with_dependencies(views: Collection[str]) -> Iterator[View]:
    """Return the views of these names and all views that they read, each after its dependencies."""
    needed: set[str] = set()
    waiting = list(views)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [relation.name for relation in VIEWS[name].dependencies if isinstance(relation, View)]
    return (view for view in VIEWS.values() if view.name in needed)


_ADJUSTED = "split-adjusted"
_SYMBOL, _DATE = DAILY_PRICES.columns[:2]
_OHLC = tuple(
    Column(f"{name}_price", ColumnType.DOUBLE, f"{meaning}, {_ADJUSTED}", "USD")
    for name, meaning in (("open", "First trade"), ("high", "Highest"), ("low", "Lowest"), ("close", "Official close"))
)
_VOLUME = Column("volume", ColumnType.DOUBLE, f"Shares that changed hands, {_ADJUSTED}", "shares")
_RETURN = Column("daily_return", ColumnType.DOUBLE, f"close - open, {_ADJUSTED}", "USD")
_AVERAGE_90D = Column(
    "avg_price_90d",
    ColumnType.DOUBLE,
    f"Mean avg_price of the last 90 calendar days, {_ADJUSTED}; NULL until the symbol has 90 days of history",
    "USD",
)
_VOLATILITY = Column(
    "volatility_pct", ColumnType.DOUBLE, "Garman-Klass volatility of the session: root of the published variance", "%"
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
    Column("avg_price", ColumnType.DOUBLE, f"(open + high + low + close) / 4, {_ADJUSTED}", "USD"),
    _AVERAGE_90D,
    Column("rolling_avg_5d", ColumnType.DOUBLE, f"Mean close of 5 sessions, {_ADJUSTED}", "USD"),
    _VOLATILITY,
    Column(
        "volatility_21d_pct",
        ColumnType.DOUBLE,
        "Root of the mean variance of 21 sessions, in % a day; NULL with fewer sessions, or across a halt of weeks",
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
            Column("is_latest", ColumnType.BOOLEAN, "The row belongs to the latest session of the table"),
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
                "Mean volume of the 7 previous sessions, split-adjusted as of the row's date",
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
            _count("up_symbols", "Symbols that closed above their open"),
            _share("up_share_pct", "up_symbols as a share of symbols"),
            _count("advancers", "Symbols that closed above their previous close"),
            _count("decliners", "Symbols that closed below their previous close"),
        ),
    ),
    View(
        "coverage",
        ("trade_date",),
        (
            _DATE,
            _count("expected_symbols", "Symbols from their first bar until 30 days after their last bar"),
            _count("published_symbols", "Symbols with a published bar"),
            _count("quarantined_symbols", "Symbols with a quarantined bar only"),
            _count("missing_symbols", "Expected symbols without any bar"),
            _share("coverage_pct", "published_symbols as a share of expected_symbols"),
            Column("days_since_previous", ColumnType.INTEGER, "Calendar days since the previous session", "days"),
        ),
    ),
    View(
        "quarantine_by_audit",
        ("trade_date", "audit"),
        (_DATE, QUARANTINED_PRICES.columns[2], _count("bars", "Bars that failed the audit")),
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
            Column("days_old", ColumnType.INTEGER, "Calendar days from the latest session to today (UTC)", "days"),
            Column(
                "weekdays_missed",
                ColumnType.INTEGER,
                "Weekdays after the latest session and before today (UTC)",
                "days",
            ),
        ),
    ),
)
VIEWS: dict[str, View] = {view.name: view for view in _ALL}
RELATIONS: dict[str, View | Table] = {**_TABLES, **VIEWS}
"""Tables and views that a statement may read, by the name of its parameter."""
