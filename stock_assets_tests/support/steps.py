"""Short calls for the whole data path without Dagster: fetch, stage, publish, and read back."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from stock_assets.backends.interface import Backend
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.audit_limits import Limits
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES, Table
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.pipeline import Pipeline
from stock_assets.publish.publishing import Published, publish
from stock_assets.sources.interface import PriceSource
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.source import ScriptedSource

LIMITS = Limits(min_coverage=0.5, max_quarantined_share=0.25)

FIVE = Universe(tuple(Listing(symbol, symbol) for symbol in ("AAPL", "CSCO", "IBM", "MSFT", "ORCL")))
"""Five symbols without a first or last session."""


def local_backend(root: Path) -> Backend:
    """Return a local backend in a folder."""
    return LocalBackend(root)


def parts(
    backend: Backend, source: PriceSource | None = None, universe: Universe = FIVE, limits: Limits = LIMITS
) -> PipelineParts:
    """Return the parts that the steps take; the default source has no bars."""
    return PipelineParts(backend, source or ScriptedSource(), universe, limits)


def as_pipeline(given: PipelineParts) -> Pipeline:
    """Return a pipeline of the same parts, for the definitions."""
    return Pipeline(given.backend, given.source, given.universe, given.limits)


def fetch(backend: Backend, source: PriceSource, universe: Universe, sessions: Sequence[date]) -> None:
    """Request the splits and the missing bars of some sessions and store the responses."""
    fetch_splits(parts(backend, source, universe))
    fetch_prices(parts(backend, source, universe), sessions)


def load_range(backend: Backend, source: PriceSource, universe: Universe, first: date, last: date) -> Published:
    """Fetch, stage, audit and publish the sessions from `first` to `last`."""
    sessions = sessions_between(first, last)
    fetch(backend, source, universe, sessions)
    stage(parts(backend, source, universe), sessions)
    return publish(parts(backend, source, universe), sessions)


def published_rows(backend: Backend, table: Table = DAILY_PRICES) -> list[dict[str, object]]:
    """Return all rows of a published table, in the order of its grain."""
    [rows] = rows_of_tables(backend, table)
    return rows


def rows_of_tables(backend: Backend, *tables: Table) -> list[list[dict[str, object]]]:
    """Return all rows of some published tables, each in the order of its grain, as one connection sees them."""
    with backend.warehouse.connect() as sql:
        return [
            sql.query(f"SELECT * FROM {table.full_name} ORDER BY {', '.join(table.grain)}").to_pylist()
            for table in tables
        ]


def read(backend: Backend, select: str) -> pa.Table:
    """Run a SELECT over the published tables."""
    with backend.warehouse.connect() as sql:
        return sql.query(select)
