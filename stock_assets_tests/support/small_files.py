"""Another writer than this package: it appends rows, so that a partition has many small files."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation

from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.local import iceberg
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.pyiceberg_internals import FastAppendFiles
from stock_assets.core.tables import DAILY_PRICES
from stock_assets_tests.support.processes import BEGIN
from stock_assets_tests.support.steps import local_backend


def scatter_locally(root: Path, rows: pa.Table) -> None:
    """Append every row in its own file and snapshot."""
    for number in range(rows.num_rows):
        iceberg.load(DataFolder(root).prepare(), DAILY_PRICES).append(rows.slice(number, 1))


def scatter_on_aws(make: Callable[[Path], LakehouseBackend], folder: Path, rows: pa.Table) -> None:
    """Append every row in its own file and snapshot, without Athena."""
    backend = make(folder)
    backend.warehouse.history(DAILY_PRICES)
    for number in range(rows.num_rows):
        iceberg_on_aws(backend).append(rows.slice(number, 1))


def iceberg_on_aws(backend: LakehouseBackend) -> IcebergTable:
    """Load published.daily_prices as another program would."""
    where = {"s3.endpoint": backend.endpoint_url, "s3.region": backend.region}
    catalog = GlueCatalog("other", client=backend.access.client("glue"), **where)
    return catalog.load_table((f"{backend.database}_published", DAILY_PRICES.name))


def maintain_for_ever(root: Path, events: Connection) -> None:
    """Maintain repeatedly, keeping no old snapshot, until killed."""
    backend = local_backend(root)
    events.send(BEGIN)
    while True:
        now = datetime.now(UTC)
        backend.warehouse.maintain(
            DAILY_PRICES, keep_since=now - timedelta(milliseconds=200), at=now + timedelta(days=2)
        )


def mark_deleted(table: IcebergTable, symbol: str) -> None:
    """Mark the rows of a symbol as deleted, as Athena's MERGE does: in a file beside those that contain the rows."""
    with table.transaction() as transaction, _MarkDeleted(Operation.OVERWRITE, transaction, table.io) as snapshot:
        for task in table.scan().plan_files():
            with table.io.new_input(task.file.file_path).open() as body:
                symbols = pq.read_table(body, columns=["symbol"])["symbol"].to_pylist()
            positions = [number for number, found in enumerate(symbols) if found == symbol]
            if positions:
                snapshot.append_data_file(_positions(table, task.file, positions))


class _MarkDeleted(FastAppendFiles):
    """Adds files that mark rows as deleted; pyiceberg cannot write them."""

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        return _DeletesWriter(spec, self.schema(), self.new_manifest_output(), self.snapshot_id, self._compression)


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _positions(table: IcebergTable, data: DataFile, positions: list[int]) -> DataFile:
    address = f"{table.location()}/data/{uuid4()}-deletes.parquet"
    rows = pa.table({"file_path": [data.file_path] * len(positions), "pos": pa.array(positions, pa.int64())})
    output = table.io.new_output(address)
    with output.create() as body:
        pq.write_table(rows, body)
    return DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=address,
        file_format=FileFormat.PARQUET,
        partition=data.partition,
        record_count=len(positions),
        file_size_in_bytes=len(output),
        spec_id=data.spec_id,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
        split_offsets=None,
        sort_order_id=None,
        key_metadata=None,
        equality_ids=None,
    )


def late_for(keep_since: datetime, later: timedelta) -> datetime:
    """Return the timestamp `later` from now, rounded down to whole seconds after `keep_since`.

    VACUUM takes ages in whole seconds, rounded up; with a fraction, snapshots from just before `keep_since` would stay.
    """
    seconds = int((datetime.now(UTC) + later - keep_since).total_seconds())
    return keep_since + timedelta(seconds=seconds)
