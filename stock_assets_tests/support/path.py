"""Shorthand for the whole path without Dagster: fetch, stage, publish, and read back."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from stock_assets.homes.interfaces import Home
from stock_assets.homes.local import LocalHome
from stock_assets.ingest.fetch import fetch_prices, fetch_splits
from stock_assets.ingest.source import PriceSource
from stock_assets.publish.publishing import Published, publish
from stock_assets.sessions import sessions_between
from stock_assets.stage.inputs import Limits
from stock_assets.stage.staging import stage
from stock_assets.tables import DAILY_PRICES, Table
from stock_assets.universe import Listing, Universe

LIMITS = Limits(min_coverage=0.5, max_quarantined_share=0.25)

FIVE = Universe(tuple(Listing(symbol, symbol) for symbol in ("AAPL", "CSCO", "IBM", "MSFT", "ORCL")))
"""Five symbols, always listed."""


def local_home(root: Path) -> Home:
    """A local home in an empty folder."""
    return LocalHome(root=str(root))


def fetch(home: Home, source: PriceSource, universe: Universe, sessions: Sequence[date]) -> None:
    """Store the answers for some sessions."""
    fetch_splits(home, source, universe)
    fetch_prices(home, source, universe, sessions)


def load_range(home: Home, source: PriceSource, universe: Universe, first: date, last: date) -> Published:
    """Fetch, stage, audit and publish the sessions from `first` to `last`."""
    sessions = sessions_between(first, last)
    fetch(home, source, universe, sessions)
    stage(home, source, universe, sessions, limits=LIMITS)
    return publish(home, source, universe, sessions, limits=LIMITS)


def published_rows(home: Home, table: Table = DAILY_PRICES) -> list[dict[str, object]]:
    """All rows of a published table, in the order of its grain."""
    rows = read(home, f"SELECT * FROM {table.full_name} ORDER BY {', '.join(table.grain)}").to_pylist()
    return list(rows)


def read(home: Home, select: str) -> pa.Table:
    """Run a SELECT over the published tables."""
    with home.warehouse.open() as sql:
        return sql.query(select)
