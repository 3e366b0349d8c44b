"""Purge the history of a symbol: end the use of its responses, and remove its rows from every published table.

Belongs here: the order of the steps, and what they remove. Does not belong here: the marker (`ingest.purges`), the
universe file (`core.universe_changes`), asking the user (`cli.symbols`).

The marker comes first, so that no load publishes the rows again. A purge that is killed after it leaves rows that no
response supports; `verify` reports them, loads of their sessions remove them, and running the purge again completes it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from stock_assets.backends.interface import PURGED, Backend, SqlConnection
from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.retry import retrying
from stock_assets.core.signals import postponed_signals
from stock_assets.core.sql import Fragment, statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, Table
from stock_assets.ingest.purges import mark_purged, without_history
from stock_assets.loads.load import SPLITS_PROPERTY, new_load_id
from stock_assets.publish.publishing import ATTEMPTS, LONGEST_PAUSE_SECONDS
from stock_assets.stage.stale_factors import factors_followed

_TABLES = (QUARANTINED_PRICES, DAILY_PRICES)


@dataclass(frozen=True)
class PublishedRows:
    """The rows of one symbol in a published table."""

    row_count: int
    sessions: int
    first_date: date
    last_date: date


def published_history(backend: Backend, symbol: str) -> dict[Table, PublishedRows]:
    """Return the rows of a symbol in each published table that has some."""
    with backend.warehouse.connect_to_read() as sql:
        found = {table: _rows(sql, table, [symbol]).get(symbol) for table in _TABLES}
    return {table: rows for table, rows in found.items() if rows is not None}


def rows_of_purged_symbols(backend: Backend) -> dict[str, list[Table]]:
    """Return the purged symbols without responses that are still, or again, in published tables."""
    with backend.ledger.read() as ledger:
        symbols = without_history(ledger)
    if not symbols:
        return {}
    with backend.warehouse.connect_to_read() as sql:
        found = {table: _rows(sql, table, symbols) for table in _TABLES}
    by_symbol = {symbol: [table for table in _TABLES if symbol in found[table]] for symbol in symbols}
    return {symbol: tables for symbol, tables in by_symbol.items() if tables}


def purge(backend: Backend, symbol: str, at: datetime) -> dict[Table, int]:
    """Purge the history of a symbol; return the removed rows of each table that had some.

    Args:
        backend: the backend.
        symbol: ticker; the universe should no longer contain it.
        at: now.

    Raises:
        ConcurrentPublish: other writers were faster in every attempt, or another process did not end its publish.
    """
    retry = retrying(attempts=ATTEMPTS, longest_seconds=LONGEST_PAUSE_SECONDS, on=ConcurrentPublish)
    with backend.publishing():
        mark_purged(backend, symbol, at)
        removed = {table: retry(lambda table=table: _remove(backend, table, symbol, at)) for table in _TABLES}
    return {table: rows for table, rows in removed.items() if rows}


def _remove(backend: Backend, table: Table, symbol: str, at: datetime) -> int:
    """Commit a table without the rows of a symbol; return their number."""
    load_id = new_load_id(at)
    try:
        with backend.warehouse.connect(load_id) as sql:
            found = _rows(sql, table, [symbol]).get(symbol)
            if found is None:
                return 0
            kept = statement("publish/kept_after_purge.sql").bind(
                {
                    "columns": Fragment(", ".join(table.column_names)),
                    "published_rows": sql.name(table),
                    "first_date": found.first_date,
                    "last_date": found.last_date,
                    "symbol": symbol,
                }
            )
            properties = {PURGED: symbol, "added": "0", "removed": str(found.row_count)}
            with postponed_signals():
                sql.replace_range(
                    table,
                    Fragment(f"({kept})"),
                    first=found.first_date,
                    last=found.last_date,
                    properties=properties | _splits_followed(backend, table, sql.base(table)),
                )
    finally:
        backend.warehouse.drop_staging(load_id)
    return found.row_count


def _splits_followed(backend: Backend, table: Table, base: int | None) -> dict[str, str]:
    """Return the property that the other rows follow the same splits as before: a purge copies them from its base."""
    followed = factors_followed(backend, base) if table == DAILY_PRICES else None
    return {SPLITS_PROPERTY: followed} if followed is not None else {}


def _rows(sql: SqlConnection, table: Table, symbols: Collection[str]) -> dict[str, PublishedRows]:
    wanted = pa.table({"symbol": pa.array(list(symbols), pa.string())})
    select = statement("publish/rows_of_symbols.sql").bind(
        {"published_rows": sql.name(table), "purged_symbols": sql.register("purged_symbols", wanted)}
    )
    return {row.pop("symbol"): PublishedRows(**row) for row in sql.query(select).to_pylist()}
