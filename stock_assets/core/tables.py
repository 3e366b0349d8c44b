"""The contracts of the tables: grain, and columns with type, unit and meaning.

Belongs here: what every backend must create and every audit can rely on. Does not belong here: how a backend creates a
table (`backends`), or how a value is computed (`sql/`).

Contracts only grow: a column may be added at the end, and is never renamed or changed to another type.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stock_assets.core.errors import TableDrift

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnType(StrEnum):
    """Column types that exist on every backend, by their common SQL name."""

    TEXT = "varchar"
    DATE = "date"
    DOUBLE = "double"
    INTEGER = "bigint"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


_ARROW_TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.DATE: "date32",
    ColumnType.DOUBLE: "float64",
    ColumnType.INTEGER: "int64",
    ColumnType.BOOLEAN: "bool",
    ColumnType.TIMESTAMP: "timestamp[us]",
}


@dataclass(frozen=True)
class Column:
    """One column. `unit` is displayed after the description; a `required` column never contains NULL."""

    name: str
    type: ColumnType
    description: str
    unit: str = ""
    required: bool = False

    @property
    def meaning(self) -> str:
        """Description and unit in one text."""
        return f"{self.description} ({self.unit})" if self.unit else self.description


@dataclass(frozen=True)
class Table:
    """One table; its asset has the same name: `published.daily_prices` is the asset `published/daily_prices`.

    Attributes:
        schema: SQL schema, named after the step that writes the table.
        name: name without the schema.
        grain: columns that identify a row.
        columns: columns in stored order.
        description: one sentence for the catalog and the UI.
    """

    schema: str
    name: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]
    description: str

    @property
    def full_name(self) -> str:
        """Name in SQL, with the schema."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in stored order."""
        return [column.name for column in self.columns]

    def arrow_schema(self) -> "pa.Schema":
        """Return the Arrow schema of the stored rows."""
        import pyarrow as pa  # noqa: PLC0415 (large; the Lambda function does without it)

        return pa.schema(
            pa.field(column.name, pa.type_for_alias(_ARROW_TYPES[column.type]), nullable=not column.required)
            for column in self.columns
        )


def added_columns(table: Table, stored: Collection[str]) -> list[Column]:
    """Return the columns that the contract gained since a table was created.

    Args:
        table: contract of a published table.
        stored: names of the stored columns.

    Raises:
        TableDrift: a new column is `required`, but the rows published before have no value for it.
    """
    added = [column for column in table.columns if column.name not in stored]
    for column in added:
        if column.required:
            raise TableDrift(
                f"{table.full_name} has no column {column.name} yet, and its rows cannot get a value for it, but "
                "stock_assets/core/tables.py declares the column as `required`. Declare it without `required`"
            )
    return added


def declared_columns(tables: Iterator[tuple[str, Table]]) -> "pa.Table":
    """Build the relation `declared_columns` that the schema audit reads.

    Args:
        tables: pairs of a table's name in this load and its contract.
    """
    import pyarrow as pa  # noqa: PLC0415 (large; the Lambda function does without it)

    rows = [(name, column.name, column.type.value) for name, table in tables for column in table.columns]
    names = ("table_name", "column_name", "data_type")
    return pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(names)})


RAW_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
"""Columns of a raw price response, in order: a CSV file per symbol, newest session first."""

_KEY = (
    Column("symbol", ColumnType.TEXT, "Ticker symbol, as the exchange lists it", required=True),
    Column("trade_date", ColumnType.DATE, "Trading session, by its New York date", required=True),
)

_POINT_IN_TIME = "split-adjusted as of this row's date"

DAILY_PRICES = Table(
    schema="published",
    name="daily_prices",
    grain=("symbol", "trade_date"),
    description="One audited row per symbol and session: prices as traded, and the metrics of the day.",
    columns=(
        *_KEY,
        Column(
            "open_price",
            ColumnType.DOUBLE,
            "First trade of the regular session, as traded",
            "USD",
            required=True,
        ),
        Column("high_price", ColumnType.DOUBLE, "Highest trade of the session, as traded", "USD", required=True),
        Column("low_price", ColumnType.DOUBLE, "Lowest trade of the session, as traded", "USD", required=True),
        Column("close_price", ColumnType.DOUBLE, "Official close, as traded (not adjusted)", "USD", required=True),
        Column("volume", ColumnType.INTEGER, "Shares that changed hands, as traded", "shares", required=True),
        Column("daily_return", ColumnType.DOUBLE, "close - open", "USD", required=True),
        Column("avg_price", ColumnType.DOUBLE, "(open + high + low + close) / 4", "USD", required=True),
        Column(
            "volatility",
            ColumnType.DOUBLE,
            "Garman-Klass variance of the day: 0.5 ln(high/low)^2 - (2 ln 2 - 1) ln(close/open)^2",
            "variance of log prices, no square root",
            required=True,
        ),
        Column("prev_close", ColumnType.DOUBLE, f"Close of the previous session, {_POINT_IN_TIME}", "USD"),
        Column("price_change_pct", ColumnType.DOUBLE, "(close - prev_close) / prev_close * 100", "%"),
        Column(
            "rolling_avg_5d",
            ColumnType.DOUBLE,
            f"Mean close of this and the 4 previous sessions, {_POINT_IN_TIME}; NULL with fewer than 5",
            "USD",
        ),
        Column(
            "volume_surge_ratio",
            ColumnType.DOUBLE,
            f"Volume / mean volume of the 7 previous sessions, {_POINT_IN_TIME}; NULL with fewer than 7",
            "ratio",
        ),
        Column(
            "candle_type",
            ColumnType.TEXT,
            "Shape of the bar, the first that fits: flat (high = low), doji (body at most 1/10 of the range), hammer "
            "(lower wick at least 2 bodies, upper at most 1/2), shooting_star (the reverse), marubozu (body at least "
            "9/10 of the range), bullish (close > open), bearish",
            required=True,
        ),
        Column("is_market_up", ColumnType.BOOLEAN, "close > open", required=True),
        Column(
            "split_factor",
            ColumnType.DOUBLE,
            "Product of the split ratios with an ex-date up to this session; 1 before the first split",
            "new shares per first share",
            required=True,
        ),
    ),
)

TYPED_PRICES = Table(
    schema="staged",
    name="typed_prices",
    grain=DAILY_PRICES.grain,
    description="The newest response for every bar of a load, typed, before the row audits.",
    columns=(
        *_KEY,
        Column("open_price", ColumnType.DOUBLE, "Open", "USD"),
        Column("high_price", ColumnType.DOUBLE, "High", "USD"),
        Column("low_price", ColumnType.DOUBLE, "Low", "USD"),
        Column("close_price", ColumnType.DOUBLE, "Close", "USD"),
        Column("volume", ColumnType.INTEGER, "Volume", "shares"),
        Column(
            "unparsed_text",
            ColumnType.TEXT,
            "Fields whose text is not a plain number, as in the raw response",
        ),
        Column("fetched_at", ColumnType.TIMESTAMP, "When the response was requested", "UTC", required=True),
        Column("payload", ColumnType.TEXT, "Key of the raw response that contains the bar", required=True),
        Column(
            "contradicting_rows",
            ColumnType.TEXT,
            "Rows of the response for this bar that contradict each other, as in the raw response",
        ),
    ),
)
_TYPED_BEFORE_LOAD_ID = 10
"""Columns of TYPED_PRICES that stored quarantine tables have before load_id; later columns follow it."""

QUARANTINED_PRICES = Table(
    schema="published",
    name="quarantined_prices",
    grain=("symbol", "trade_date", "audit"),
    description="Bars that failed a row audit, with the name of the audit; kept so that no data are lost.",
    columns=(
        *_KEY,
        Column("audit", ColumnType.TEXT, "Audit that the bar failed", required=True),
        Column("detail", ColumnType.TEXT, "What the audit found", required=True),
        *TYPED_PRICES.columns[len(_KEY) : _TYPED_BEFORE_LOAD_ID],
        Column("load_id", ColumnType.TEXT, "First load that quarantined the bar", required=True),
        *TYPED_PRICES.columns[_TYPED_BEFORE_LOAD_ID:],
    ),
)

STAGED_PRICES = Table(
    schema="staged",
    name="daily_prices",
    grain=DAILY_PRICES.grain,
    description="The rows of one load, typed, unique and with metrics, before publishing.",
    columns=DAILY_PRICES.columns,
)

STAGED_QUARANTINE = Table(
    schema="staged",
    name="quarantined_prices",
    grain=QUARANTINED_PRICES.grain,
    description="The bars of one load that failed a row audit.",
    columns=QUARANTINED_PRICES.columns,
)

STAGING_TABLES = (TYPED_PRICES, STAGED_QUARANTINE, STAGED_PRICES)
PUBLISHED_TABLES = (DAILY_PRICES, QUARANTINED_PRICES)
