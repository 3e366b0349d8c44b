"""A writer that is not this package: it appends, so that a partition has many small files."""

from pathlib import Path

import pyarrow as pa

from stock_assets.homes.local import iceberg
from stock_assets.tables import DAILY_PRICES


def scatter_locally(root: Path, rows: pa.Table) -> None:
    """Append every row in a file and a snapshot of its own."""
    for number in range(rows.num_rows):
        iceberg.load(root, DAILY_PRICES).append(rows.slice(number, 1))
