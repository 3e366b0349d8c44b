"""SQL over the published tables and the views made of them.

Belongs here: which names a query may use, and the statements under `sql/serve`. Does not belong here: printing
(`cli`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from stock_assets.homes.interfaces import Home, SqlSession
from stock_assets.sql import SqlValue, Statement, statement
from stock_assets.tables import DAILY_PRICES, PUBLISHED_TABLES, QUARANTINED_PRICES

ADJUSTED_PRICES = "adjusted_prices"


@dataclass(frozen=True)
class SymbolSummary:
    """What is published of one symbol; prices in USD."""

    symbol: str
    row_count: int
    first_session: date | None
    last_session: date | None
    quarantined: int
    last_close: float | None
    avg_price_90d: float | None


@dataclass(frozen=True)
class RelationColumn:
    """One column of a relation; the meaning ends with the unit."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Relation:
    """One name a query may use."""

    name: str
    kind: str
    rows: int
    columns: tuple[RelationColumn, ...]
    description: str


def view(name: str) -> Statement:
    """Find a statement under `sql/serve`."""
    return statement(f"serve/{name}.sql")


def run_query(home: Home, select: str) -> pa.Table:
    """Run a SELECT over `published.*`, in the Athena dialect.

    Raises:
        QueryFailed: the engine refused it.
    """
    with _serving(home) as sql:
        return sql.query(select)


def relations(home: Home) -> list[Relation]:
    """List the tables and views a query may use."""
    with _serving(home) as sql:
        tables = [
            Relation(
                name=table.full_name,
                kind="table",
                rows=_count(sql, table.full_name),
                columns=tuple(
                    RelationColumn(column.name, column.type.value, column.meaning) for column in table.columns
                ),
                description=table.description,
            )
            for table in PUBLISHED_TABLES
        ]
        adjusted = view(ADJUSTED_PRICES)
        name = f"published.{adjusted.name}"
        shape = sql.query(f"SELECT * FROM {name} LIMIT 0")  # noqa: S608 (a file's name)
        columns = tuple(RelationColumn(field.name, str(field.type), "on today's share basis") for field in shape.schema)
        return [*tables, Relation(name, "view", _count(sql, name), columns, adjusted.description)]


def summary(home: Home) -> list[SymbolSummary]:
    """Sum up what is published, a row per symbol."""
    with home.warehouse.open() as sql:
        rows = sql.query(view("summary").bind(_names(sql))).to_pylist()
    return [SymbolSummary(**row) for row in rows]


def ensure_views(home: Home) -> None:
    """Make the views, where a home keeps them."""
    with _serving(home):
        pass


@contextmanager
def _serving(home: Home) -> Iterator[SqlSession]:
    with home.warehouse.open() as sql:
        sql.create_view(ADJUSTED_PRICES, view(ADJUSTED_PRICES).bind(_names(sql)))
        yield sql


def _names(sql: SqlSession) -> dict[str, SqlValue]:
    return {"published_prices": sql.name(DAILY_PRICES), "published_quarantine": sql.name(QUARANTINED_PRICES)}


def _count(sql: SqlSession, name: str) -> int:
    return int(sql.query(f"SELECT COUNT(*) AS n FROM {name}").to_pylist()[0]["n"])  # noqa: S608 (a contract's name)
