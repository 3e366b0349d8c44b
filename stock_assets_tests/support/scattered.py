"""A writer that is not this package: it appends, so that a partition has many small files."""

from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa

from stock_assets.homes.local import iceberg
from stock_assets.tables import DAILY_PRICES
from stock_assets_tests.support.path import local_home


def scatter_locally(root: Path, rows: pa.Table) -> None:
    """Append every row in a file and a snapshot of its own."""
    for number in range(rows.num_rows):
        iceberg.load(root, DAILY_PRICES).append(rows.slice(number, 1))


def maintain_for_ever(root: Path, events: Connection) -> None:
    """Maintain again and again, with nothing old kept, until killed."""
    home = local_home(root)
    events.send("begin")
    while True:
        now = datetime.now(UTC)
        home.warehouse.maintain(DAILY_PRICES, keep_since=now - timedelta(milliseconds=200), at=now + timedelta(days=2))
