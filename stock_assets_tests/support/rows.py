"""Rows of `staged.daily_prices` as SELECTs, for tests that do not run the staging SQL."""

from collections.abc import Sequence
from datetime import date

from stock_assets.backends.interface import SqlConnection
from stock_assets.core.tables import STAGED_PRICES


def price_row(symbol: str, day: date, close: float = 101.0) -> str:
    """Return one row as a SELECT, with NULL in columns that allow it."""
    return (
        f"SELECT CAST('{symbol}' AS VARCHAR) AS symbol, DATE '{day}' AS trade_date, 100E0 AS open_price, "
        f"102E0 AS high_price, 99E0 AS low_price, {close!r}E0 AS close_price, CAST(1000 AS BIGINT) AS volume, "
        "1E0 AS daily_return, 100.5E0 AS avg_price, 4E-4 AS volatility, CAST(NULL AS DOUBLE) AS prev_close, "
        "CAST(NULL AS DOUBLE) AS price_change_pct, CAST(NULL AS DOUBLE) AS rolling_avg_5d, "
        "CAST(NULL AS DOUBLE) AS volume_surge_ratio, CAST('doji' AS VARCHAR) AS candle_type, TRUE AS is_market_up, "
        "1E0 AS split_factor"
    )


def stage_rows(sql: SqlConnection, rows: Sequence[str]) -> int:
    """Stage rows."""
    return sql.stage(STAGED_PRICES, " UNION ALL ".join(rows))
