"""The digest of a session, by which a check compares published rows with staged ones."""

from datetime import date

import pyarrow as pa

from stock_assets.backends.interface import Backend
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES, Column, ColumnType
from stock_assets_tests.support.rows import price_row

DAY = date(2012, 3, 13)
CHANGED = {
    ColumnType.DOUBLE: "COALESCE({0}, 0E0) + 5E-1",
    ColumnType.INTEGER: "{0} + 1",
    ColumnType.TEXT: "'flat'",
    ColumnType.BOOLEAN: "NOT {0}",
}


def _row(changed: Column | None) -> str:
    """Return a row in which one column has another value."""
    values = (
        f"{CHANGED[column.type].format(column.name)} AS {column.name}" if column is changed else column.name
        for column in DAILY_PRICES.columns
    )
    return f"(SELECT {', '.join(values)} FROM ({price_row('IBM', DAY)}) AS one)"


def test_the_digest_depends_on_every_column(backend: Backend) -> None:
    # To add a column: add it to sql/coverage/row_numbers.sql too, else a wrong value in it is never found.
    columns = [column for column in DAILY_PRICES.columns if column.name not in DAILY_PRICES.grain]
    with backend.warehouse.connect_to_read() as sql:
        values: dict[str, SqlValue] = {
            "symbol_numbers": sql.register("symbol_numbers", pa.table({"symbol": ["IBM"], "number": [17]})),
            "start_date": DAY,
            "end_date": DAY,
        }
        digests = {
            changed.name if changed else "": sql.query(
                statement("coverage/row_numbers.sql").bind({**values, "prices": Fragment(_row(changed))})
            )["number"].to_pylist()
            for changed in (None, *columns)
        }
    same = [name for name, digest in digests.items() if name and digest == digests[""]]
    assert same == [], "columns of which the digest does not depend"
