"""SQL over the published tables and the views made of them.

Belongs here: which names a query may use, and running one. Does not belong here: the contracts of the views
(`views`), printing (`cli`).
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from stock_assets.backends.interface import Backend, SqlSession
from stock_assets.core.sql import query_text, statement
from stock_assets.core.tables import PUBLISHED_TABLES, Column
from stock_assets.serve.views import VIEWS, create_views


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


def run_query(backend: Backend, select: str) -> pa.Table:
    """Run a SELECT over `published.*`, in the Athena dialect.

    Raises:
        InvalidQuery: the text is not a single SELECT.
        QueryFailed: the engine refused it.
    """
    select = query_text(select)
    # On Athena each view made costs a statement: only those are made that the query could mean.
    words = set(re.findall(r"[a-z_]+", select.lower()))
    with _serving(backend, VIEWS.keys() & words) as sql:
        sql.restrict()
        return sql.query(select)


def relations(backend: Backend) -> list[Relation]:
    """List the tables and views a query may use."""
    with _serving(backend, VIEWS) as sql:
        tables = [
            Relation(table.full_name, "table", _count(sql, table.full_name), _shown(table.columns), table.description)
            for table in PUBLISHED_TABLES
        ]
        views = [
            Relation(
                view.full_name,
                "view",
                _count(sql, view.full_name),
                _shown(view.columns),
                view.statement.description,
            )
            for view in VIEWS.values()
        ]
    return [*tables, *views]


def summary(backend: Backend) -> list[SymbolSummary]:
    """Sum up what is published, a row per symbol."""
    with backend.warehouse.open() as sql:
        rows = sql.query(statement("serve/summary.sql").bind(create_views(sql, ()))).to_pylist()
    return [SymbolSummary(**row) for row in rows]


@contextmanager
def _serving(backend: Backend, views: Collection[str]) -> Iterator[SqlSession]:
    with backend.warehouse.open() as sql:
        create_views(sql, views)
        yield sql


def _shown(columns: Iterable[Column]) -> tuple[RelationColumn, ...]:
    return tuple(RelationColumn(column.name, column.type.value, column.meaning) for column in columns)


def _count(sql: SqlSession, name: str) -> int:
    return int(sql.query(f"SELECT COUNT(*) AS n FROM {name}").to_pylist()[0]["n"])  # noqa: S608 (a contract's name)
