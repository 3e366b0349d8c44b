"""The files and tables of the emulated account: objects in S3, tables in Glue, Iceberg metadata through pyiceberg.

Belongs here: reading and removing what is stored. Does not belong here: statements (`engine`, `relations`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import boto3
import pyarrow as pa
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable

ACCESS_KEY = "emulator"
"""Access key of the emulator's calls of itself, which are those inside of Athena: no fault applies to them."""


@dataclass
class Storage:
    """S3 and Glue behind one endpoint.

    Attributes:
        endpoint: address of S3 and Glue.
        region: region of both.
    """

    endpoint: str
    region: str
    _rows: dict[tuple[str, int | None, int], pa.Table] = field(default_factory=dict, init=False, repr=False)
    _sizes: dict[tuple[str, int | None, str], int] = field(default_factory=dict, init=False, repr=False)
    _tables: dict[str, IcebergTable] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def s3(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._client("s3")

    @cached_property
    def glue(self) -> Any:  # noqa: ANN401
        return self._client("glue")

    @cached_property
    def catalog(self) -> GlueCatalog:
        return GlueCatalog("emulator", client=self.glue, **self._options)

    def iceberg_table(self, stored: Mapping[str, Any]) -> IcebergTable:
        """Return the table that an entry of the Glue catalog describes, to read it; metadata files never change."""
        location = stored["Parameters"]["metadata_location"]
        if location not in self._tables:
            self._tables[location] = StaticTable.from_metadata(location, self._options)
        return self._tables[location]

    def keys(self, location: str) -> list[tuple[str, str]]:
        """List the objects below a location, as (bucket, key)."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [(bucket, found["Key"]) for page in pages for found in page.get("Contents", [])]

    def written(self, location: str) -> dict[str, datetime]:
        """Return when each file below a location was written."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/")
        found = [file for page in pages for file in page.get("Contents", [])]
        return {f"s3://{bucket}/{file['Key']}": file["LastModified"] for file in found}

    def remove(self, files: Iterable[str]) -> None:
        """Remove files."""
        for file in files:
            bucket, _, key = file.removeprefix("s3://").partition("/")
            self.s3.delete_object(Bucket=bucket, Key=key)

    def iceberg_rows(self, table: IcebergTable, snapshot_id: int | None) -> pa.Table:
        """Read a snapshot; snapshots never change, so each is read once."""
        current = table.current_snapshot()
        chosen = snapshot_id if snapshot_id is not None else (current.snapshot_id if current else None)
        schema_id = table.schema().schema_id if snapshot_id is None else -1
        key = (table.metadata.table_uuid.hex, chosen, schema_id)
        if key not in self._rows:
            self._rows[key] = table.scan(snapshot_id=snapshot_id).to_arrow()
        return self._rows[key]

    def iceberg_bytes(self, table: IcebergTable, snapshot_id: int | None, partitions: str | BooleanExpression) -> int:
        """Return the size of the data files of a snapshot that a filter on the partitions selects."""
        current = table.current_snapshot()
        chosen = snapshot_id if snapshot_id is not None else (current.snapshot_id if current else None)
        key = (table.metadata.table_uuid.hex, chosen, str(partitions))
        if key not in self._sizes:
            files = table.scan(row_filter=partitions, snapshot_id=snapshot_id).plan_files()
            self._sizes[key] = sum(task.file.file_size_in_bytes for task in files)
        return self._sizes[key]

    @property
    def _options(self) -> dict[str, str]:
        credentials = {"s3.access-key-id": ACCESS_KEY, "s3.secret-access-key": ACCESS_KEY}
        return {"s3.endpoint": self.endpoint, "s3.region": self.region, **credentials}

    def _client(self, service: str) -> Any:  # noqa: ANN401
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=ACCESS_KEY,
        )
