"""SQL over the published tables and views.

Belongs here: the names that a query may use, and running a query. Does not belong here: the contracts of the views
(`views`), printing (`cli`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from stock_assets.backends.interface import AsOf, Backend, SqlConnection
from stock_assets.core.errors import NoData
from stock_assets.core.queries import query_text, table_names
from stock_assets.core.sql import SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, Column
from stock_assets.core.text import did_you_mean
from stock_assets.serve.as_of import AsOfInput, require_published, snapshots_to_read
from stock_assets.serve.views import VIEWS, create_views

if TYPE_CHECKING:
    import pyarrow as pa

_STILL_LISTED = timedelta(days=30)
"""A symbol without a bar for longer counts as delisted, as in the view `coverage`."""


@dataclass(frozen=True)
class SymbolSummary:
    """The summary of one symbol's published rows; prices in USD, `last_volume` in shares, both as traded.

    `avg_price_90d` is the value of the view `latest_board`: None until the symbol has 90 days of history.
    """

    symbol: str
    row_count: int
    first_session: date | None
    last_session: date | None
    quarantined: int
    last_close: float | None
    avg_price_90d: float | None
    last_volume: int | None

    @property
    def traded_value(self) -> float:
        """Value in USD of the shares that were traded in the last session, at its close."""
        return (self.last_close or 0.0) * (self.last_volume or 0)


@dataclass(frozen=True)
class RelationColumn:
    """One column of a table or view; the meaning ends with the unit."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Relation:
    """One table or view that a query may use."""

    name: str
    kind: str
    rows: int
    columns: tuple[RelationColumn, ...]
    description: str


def run_query(backend: Backend, select: str, *, as_of: AsOfInput | None = None) -> "pa.Table":
    """Run a SELECT over the tables and views of the schema `published`, in the Athena dialect.

    Args:
        backend: the backend.
        select: the query.
        as_of: a timestamp, which pins every table, or a snapshot id of the only table that is read; None for now.

    Raises:
        InvalidQuery: the text is not a single SELECT, or `as_of` is invalid.
        QueryFailed: the engine rejected the statement.
        UnknownSnapshot: the table has no such snapshot, or nothing was published at the timestamp.
        SnapshotExpired: maintenance has expired the snapshot.
    """
    select = query_text(select)
    named = table_names(select, DAILY_PRICES.schema)
    snapshots = snapshots_to_read(as_of, named)
    with _session(backend, VIEWS.keys() & named, snapshots) as sql:
        require_published(backend, sql, snapshots)
        sql.restrict()
        return sql.query(select)


def relations(backend: Backend) -> list[Relation]:
    """Return the tables and views that a query may use."""
    with _session(backend, VIEWS) as sql:
        tables = [
            Relation(
                table.full_name, "table", _count(sql, table.full_name), _described(table.columns), table.description
            )
            for table in PUBLISHED_TABLES
        ]
        views = [
            Relation(
                view.full_name,
                "view",
                _count(sql, view.full_name),
                _described(view.columns),
                view.statement.description,
            )
            for view in VIEWS.values()
        ]
    return [*tables, *views]


def summary(backend: Backend) -> list[SymbolSummary]:
    """Return one row per symbol of the published tables."""
    with backend.warehouse.connect_to_read() as sql:
        return read_summary(sql, create_views(sql, ()))


def read_summary(sql: SqlConnection, names: Mapping[str, SqlValue]) -> list[SymbolSummary]:
    """Return the summary in a session whose tables have these names."""
    return [SymbolSummary(**row) for row in sql.query(statement("serve/summary.sql").bind(names)).to_pylist()]


def most_traded(rows: Sequence[SymbolSummary], most: int) -> list[SymbolSummary]:
    """Return the symbols with the highest value of traded shares, highest first; a short list stays as it is.

    Symbols whose last session is more than 30 days before the latest one follow after all others. A symbol whose bar of
    the latest session is quarantined or missing keeps its place.

    Args:
        rows: the symbols.
        most: number of symbols to return.
    """
    if len(rows) <= most:
        return list(rows)
    oldest = max((row.last_session for row in rows if row.last_session), default=date.max) - _STILL_LISTED
    return sorted(rows, key=lambda row: ((row.last_session or date.min) >= oldest, row.traded_value), reverse=True)[
        :most
    ]


def only_symbols(rows: Sequence[SymbolSummary], symbols: Iterable[str]) -> list[SymbolSummary]:
    """Return the rows of some symbols, in the order of the rows.

    Raises:
        NoData: the rows do not contain one of the symbols.
    """
    names = {name.strip().upper() for name in symbols}
    known = {row.symbol for row in rows}
    for name in sorted(names - known):
        meant = did_you_mean(name, sorted(known), otherwise="")
        raise NoData(
            f"{name} has no published bar.{f' {meant}' if meant else ''} Published symbols: "
            "stock-assets summary --all. To load it: stock-assets backfill FIRST LAST"
        )
    return [row for row in rows if row.symbol in names]


@contextmanager
def _session(backend: Backend, views: Collection[str], as_of: AsOf | None = None) -> Iterator[SqlConnection]:
    with backend.warehouse.connect_to_read(as_of) as sql:
        create_views(sql, views)
        yield sql


def _described(columns: Iterable[Column]) -> tuple[RelationColumn, ...]:
    return tuple(RelationColumn(column.name, column.type.value, column.meaning) for column in columns)


def _count(sql: SqlConnection, name: str) -> int:
    return int(sql.query(f"SELECT COUNT(*) AS n FROM {name}").to_pylist()[0]["n"])  # noqa: S608 (the name comes from the contract)
