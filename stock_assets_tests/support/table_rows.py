"""Publish rows of `published.daily_prices`, and read them back."""

from collections.abc import Sequence
from datetime import date

from stock_assets.backends.interface import Backend
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.rows import stage_rows

FIRST, SECOND, THIRD = date(2012, 3, 1), date(2012, 3, 2), date(2012, 3, 5)
NEXT_YEAR = date(2013, 1, 2)
PROPERTIES = {"load_id": "load_1", "start_date": "2012-03-01"}


def publish(backend: Backend, rows: Sequence[str], first: date, last: date) -> int:
    """Replace a range by some rows, as one load; return the new snapshot."""
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, rows)
        return sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=first, last=last, properties=PROPERTIES)


def published(backend: Backend) -> list[tuple[str, date, float]]:
    """Read symbol, trade date and close of every published row, in this order."""
    with backend.warehouse.connect() as sql:
        rows = sql.query(
            f"SELECT symbol, trade_date, close_price FROM {sql.name(DAILY_PRICES).value} ORDER BY symbol, trade_date"
        ).to_pylist()
    return [(row["symbol"], row["trade_date"], row["close_price"]) for row in rows]


def all_rows(backend: Backend) -> list[dict[str, object]]:
    """Read the prices, with every double as its bits."""
    with backend.warehouse.connect() as sql:
        return exact(sql.query(f"SELECT * FROM {sql.name(DAILY_PRICES).value} ORDER BY symbol, trade_date").to_pylist())
