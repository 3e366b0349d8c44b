"""Data of an earlier pipeline on the emulator: a folder of the bucket, and tables of the Glue catalog."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.aws_locations import LegacyBucket, LegacyTable
from stock_assets.legacy_import.locations import LegacyLocation
from stock_assets_tests.emulators.athena.names import BUCKET, REGION

TEXT = "string"
BARS = dict.fromkeys(("date", "open", "high", "low", "close", "volume"), TEXT)
"""Columns of a table whose partitions name the symbol, read as text."""


class LegacyAccount:
    """The earlier pipeline's bucket folder and Glue database, named after the test's folder."""

    def __init__(self, endpoint: str, folder: Path, *, role_arn: str = "") -> None:
        self.access = AwsAccess(region=REGION, endpoint_url=endpoint, role_arn=role_arn)
        self.name = folder.name.lower().replace("-", "_")
        self.address = f"s3://{BUCKET}/old/{self.name}"
        self.database = f"old_stocks_{self.name}"
        self._s3 = boto3.client("s3", endpoint_url=endpoint, region_name=REGION)
        self.glue = boto3.client("glue", endpoint_url=endpoint, region_name=REGION)
        self.glue.create_database(DatabaseInput={"Name": self.database})

    def upload(self, folder: Path, to: str = "") -> None:
        """Upload all files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{to}{path.relative_to(folder).as_posix()}", path.read_bytes())

    def put(self, relative: str, body: bytes) -> None:
        """Upload one object."""
        self._s3.put_object(Bucket=BUCKET, Key=f"old/{self.name}/{relative}", Body=body)

    def table(
        self,
        name: str,
        columns: Mapping[str, str],
        *,
        keys: Sequence[str] = (),
        partitions: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 (parts of a Glue table definition)
    ) -> str:
        """Create a Hive table in the catalog; return its address."""
        storage = {
            "Columns": [{"Name": column, "Type": of} for column, of in columns.items()],
            "Location": f"{self.address}/",
            "SerdeInfo": {"SerializationLibrary": "x", "Parameters": more.get("serde", {})},
        }
        self.glue.create_table(
            DatabaseName=self.database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": more.get("parameters", {}),
                "StorageDescriptor": storage,
                "PartitionKeys": [{"Name": key, "Type": TEXT} for key in keys],
            },
        )
        for value, folder in (partitions or {}).items():
            self.glue.create_partition(
                DatabaseName=self.database,
                TableName=name,
                PartitionInput={
                    "Values": [value],
                    "StorageDescriptor": {**storage, "Location": f"{self.address}/{folder}"},
                },
            )
        return f"glue:{self.database}.{name}"

    def table_by_symbol(self, folder: Path, columns: Mapping[str, str] = BARS) -> str:
        """Upload a folder with one folder per symbol and create a table over it; return its address."""
        self.upload(folder)
        parts = {part.name.removeprefix("symbol="): f"{part.name}/" for part in sorted(folder.glob("symbol=*"))}
        return self.table("prod", columns, keys=["symbol"], partitions=parts)

    def at(self, address: str, form: FileFormat | None = None) -> LegacyLocation:
        """Return the location of an address."""
        return (LegacyTable if address.startswith("glue:") else LegacyBucket)(
            self.access, address, form or FileFormat()
        )
