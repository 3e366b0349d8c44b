"""A writer that is not this package: it appends, so that a partition has many small files."""

from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table as IcebergTable

from stock_assets.homes.aws import AwsHome
from stock_assets.homes.local import iceberg
from stock_assets.tables import DAILY_PRICES
from stock_assets_tests.support.aws_homes import double_home
from stock_assets_tests.support.path import local_home


def scatter_locally(root: Path, rows: pa.Table) -> None:
    """Append every row in a file and a snapshot of its own."""
    for number in range(rows.num_rows):
        iceberg.load(root, DAILY_PRICES).append(rows.slice(number, 1))


def scatter_on_aws(endpoint: str, folder: Path, rows: pa.Table) -> None:
    """Append every row in a file and a snapshot of its own, beside Athena."""
    home = double_home(endpoint, folder)
    home.warehouse.history(DAILY_PRICES)
    for number in range(rows.num_rows):
        iceberg_on_aws(home).append(rows.slice(number, 1))


def iceberg_on_aws(home: AwsHome) -> IcebergTable:
    """Load published.daily_prices as any other writer would."""
    where = {"s3.endpoint": home.endpoint_url, "s3.region": home.region}
    catalog = GlueCatalog("other", client=home.access.client("glue"), **where)
    return catalog.load_table((f"{home.database}_published", DAILY_PRICES.name))


def maintain_for_ever(root: Path, events: Connection) -> None:
    """Maintain again and again, with nothing old kept, until killed."""
    home = local_home(root)
    events.send("begin")
    while True:
        now = datetime.now(UTC)
        home.warehouse.maintain(DAILY_PRICES, keep_since=now - timedelta(milliseconds=200), at=now + timedelta(days=2))
