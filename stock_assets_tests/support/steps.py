"""Shorthand for the whole path without Dagster: fetch, stage, publish, and read back."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from stock_assets.backends.interface import Backend
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES, Table
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.price_requests import fetch_prices, fetch_splits
from stock_assets.loads.inputs import Limits
from stock_assets.publish.publishing import Published, publish
from stock_assets.sources.interface import PriceSource
from stock_assets.stage.staging import stage

LIMITS = Limits(min_coverage=0.5, max_quarantined_share=0.25)

FIVE = Universe(tuple(Listing(symbol, symbol) for symbol in ("AAPL", "CSCO", "IBM", "MSFT", "ORCL")))
"""Five symbols, always listed."""


def local_backend(root: Path) -> Backend:
    """A local backend in an empty folder."""
    return LocalBackend(root=str(root))


def fetch(backend: Backend, source: PriceSource, universe: Universe, sessions: Sequence[date]) -> None:
    """Store the answers for some sessions."""
    fetch_splits(backend, source, universe)
    fetch_prices(backend, source, universe, sessions)


def load_range(backend: Backend, source: PriceSource, universe: Universe, first: date, last: date) -> Published:
    """Fetch, stage, audit and publish the sessions from `first` to `last`."""
    sessions = sessions_between(first, last)
    fetch(backend, source, universe, sessions)
    stage(backend, source, universe, sessions, limits=LIMITS)
    return publish(backend, source, universe, sessions, limits=LIMITS)


def published_rows(backend: Backend, table: Table = DAILY_PRICES) -> list[dict[str, object]]:
    """All rows of a published table, in the order of its grain."""
    rows = read(backend, f"SELECT * FROM {table.full_name} ORDER BY {', '.join(table.grain)}").to_pylist()
    return list(rows)


def read(backend: Backend, select: str) -> pa.Table:
    """Run a SELECT over the published tables."""
    with backend.warehouse.open() as sql:
        return sql.query(select)
