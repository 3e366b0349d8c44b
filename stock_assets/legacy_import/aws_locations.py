"""An earlier pipeline's files on AWS: a folder of a bucket, or the objects of a table of the Glue catalog.

Belongs here: which objects belong to it, and how the catalog describes them. Does not belong here: their content
(`ingest.price_files`, `row_selection`).
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors
from stock_assets.backends.lakehouse.glue import Glue
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.locations import LegacyFile, LegacyLocation, is_data, legacy_file, non_empty

_ADDRESS = re.compile(r"s3[an]?://([^/]+)/*(.*?)/*")
_TABLE = re.compile(r"glue:([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_DELIMITERS = ("separatorChar", "field.delim")
_IN_MEMORY = 16 * 1024 * 1024


class LegacyBucket(LegacyLocation):
    """Objects below `s3://bucket/folder`, or one object."""

    def __init__(self, access: AwsAccess, address: str, file_format: FileFormat) -> None:
        self._access = access
        self._address = address
        self._file_format = file_format

    @property
    def label(self) -> str:
        """Return the address as the user wrote it."""
        return self._address

    @property
    def file_format(self) -> FileFormat:
        """Return the format that the user stated, or the default."""
        return self._file_format

    def files(self) -> Sequence[LegacyFile]:
        """List the objects; the time of an object is when it was stored."""
        return non_empty(_listed(self._access, self._address), self.label)

    def open_file(self, file: LegacyFile) -> BinaryIO:
        """Copy the object to memory, or to an unnamed file if it is large."""
        bucket, key = _parts(file.name)
        copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (the caller closes it)
        with typed_errors(f"reading {file.name}"):
            shutil.copyfileobj(self._access.client("s3").get_object(Bucket=bucket, Key=key)["Body"], copy)
        copy.seek(0)
        return cast("BinaryIO", copy)


class LegacyTable(LegacyBucket):
    """The objects of `glue:database.table`, with the columns and the delimiter of the catalog."""

    @cached_property
    def _table(self) -> Mapping[str, Any]:
        match = _TABLE.fullmatch(self._address)
        if match is None:
            raise LegacyDataUnusable(f"{self._address} is not a table address; write it as glue:database.table")
        database, name = match.groups()
        table = Glue(self._access).table(database, name)
        if table is None:
            raise LegacyDataUnusable(
                f"{self._address}: the Glue catalog of {self._access.region} has no such table; check name and region"
            )
        kind = str(table.get("Parameters", {}).get("table_type", "")).lower()
        if kind == "iceberg" or not table.get("StorageDescriptor", {}).get("Location"):
            raise LegacyDataUnusable(
                f"{self._address}: files of {kind or 'a view'} cannot be read as rows; copy it to a Hive table with "
                "CREATE TABLE AS in Athena, and import that table"
            )
        return table

    @property
    def file_format(self) -> FileFormat:
        """Read the columns and the delimiter from the catalog, unless the user stated the columns."""
        storage = self._table["StorageDescriptor"]
        serde = storage.get("SerdeInfo", {}).get("Parameters", {})
        delimiter = next(
            (serde[name] for name in _DELIMITERS if len(serde.get(name, "")) == 1), self._file_format.delimiter
        )
        columns = tuple(column["Name"].lower() for column in storage["Columns"])
        return replace(
            self._file_format,
            columns=self._file_format.columns if self._file_format.named else columns,
            delimiter=delimiter,
            named=True,
        )

    def files(self) -> Sequence[LegacyFile]:
        """List the objects of each partition, or of the whole table if the catalog has no partitions."""
        keys = [key["Name"].lower() for key in self._table.get("PartitionKeys", [])]
        partitions = Glue(self._access).partitions(self._table["DatabaseName"], self._table["Name"]) if keys else []
        if not partitions:
            return non_empty(_listed(self._access, self._table["StorageDescriptor"]["Location"]), self.label)
        found = []
        for partition in partitions:
            folders = "".join(f"{key}={quote(value)}/" for key, value in zip(keys, partition["Values"], strict=True))
            found += _listed(self._access, partition["StorageDescriptor"]["Location"], folders)
        return non_empty(sorted(found, key=lambda file: file.name), self.label)


def _listed(access: AwsAccess, address: str, folders: str = "") -> list[LegacyFile]:
    """Return the objects below an address; `folders` are the columns of the catalog, written as folders."""
    bucket, folder = _parts(address)
    found = []
    for entry in S3Objects(access, BucketFolder(bucket, "")).entries(folder):
        # A listed key may start with the same letters only: `prices` and `prices_old/`.
        relative = (
            entry.key.rpartition("/")[2]
            if entry.key == folder
            else entry.key.removeprefix(f"{folder}/" if folder else "")
        )
        inside = not folder or entry.key == folder or entry.key.startswith(f"{folder}/")
        if inside and is_data(relative):
            found.append(
                legacy_file(f"s3://{bucket}/{entry.key}", relative, entry.size, entry.modified_at, folders=folders)
            )
    return found


def _parts(address: str) -> tuple[str, str]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise LegacyDataUnusable(f"{address} is not an S3 address; write it as s3://bucket/folder")
    return match[1], match[2]
