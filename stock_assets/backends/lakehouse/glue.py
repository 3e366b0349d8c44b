"""The Glue Data Catalog: databases and tables that are created without a statement.

Belongs here: calls of Glue and the definitions it accepts. Does not belong here: the rows of the tables.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_errors

_MISSING = "EntityNotFoundException"
_EXISTS = "AlreadyExistsException"
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


class Glue:
    """The catalog of one region."""

    def __init__(self, access: AwsAccess) -> None:
        self._access = access

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        with typed_errors(f"creating the Glue database {name}"):
            try:
                self._client.create_database(DatabaseInput={"Name": name})
            except ClientError as error:
                if error_code(error) != _EXISTS:
                    raise

    def table(self, database: str, name: str) -> Mapping[str, Any] | None:
        """Read a table definition, or None if the table does not exist."""
        with typed_errors(f"reading the Glue table {database}.{name}"):
            try:
                found: Mapping[str, Any] = self._client.get_table(DatabaseName=database, Name=name)["Table"]
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise
                return None
        return found

    def partitions(self, database: str, name: str) -> list[Mapping[str, Any]]:
        """List the partitions of a table with their values and locations."""
        found: list[Mapping[str, Any]] = []
        with typed_errors(f"listing partitions of the Glue table {database}.{name}"):
            pages = self._client.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
            for page in pages:
                found += page["Partitions"]
        return found

    def tables(self, database: str, stem: str) -> list[Mapping[str, Any]]:
        """List the tables whose names start with a stem; none if the database does not exist."""
        found: list[Mapping[str, Any]] = []
        with typed_errors(f"listing Glue tables of {database}"):
            try:
                # Without an Expression: one emulator reads it as a regular expression, another as a glob, and no test
                # can show here how Glue reads it. The names are filtered below.
                pages = self._client.get_paginator("get_tables").paginate(DatabaseName=database)
                for page in pages:
                    found += page["TableList"]
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise
        return [table for table in found if table["Name"].startswith(stem)]

    def create(self, database: str, table: Mapping[str, Any]) -> None:
        """Create a table, and the database if it is missing; its location belongs to this writer alone."""
        with typed_errors(f"creating the Glue table {database}.{table['Name']}"):
            try:
                self._create(database, table)
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise
                self.create_database(database)
                self._create(database, table)

    def delete(self, database: str, name: str) -> None:
        """Remove a table from the catalog if it exists; its files stay."""
        with typed_errors(f"removing the Glue table {database}.{name}"):
            try:
                self._client.delete_table(DatabaseName=database, Name=name)
            except ClientError as error:
                if error_code(error) != _MISSING:
                    raise

    def _create(self, database: str, table: Mapping[str, Any]) -> None:
        """Create a table; boto3 repeats the call if the response was lost, and the table exists then."""
        try:
            self._client.create_table(DatabaseName=database, TableInput=table)
        except ClientError as error:
            if error_code(error) != _EXISTS:
                raise
            stored = self._client.get_table(DatabaseName=database, Name=table["Name"])["Table"]
            # Tables of other programs may have no storage or no location.
            if stored.get("StorageDescriptor", {}).get("Location") != table["StorageDescriptor"]["Location"]:
                raise

    @property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._access.client("glue")


def external_parquet(name: str, columns: Sequence[str], location: str) -> dict[str, Any]:
    """Return the definition of an external table of text columns over Parquet files."""
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"},
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": "string"} for column in columns],
            "Location": location,
            **_PARQUET,
        },
    }
