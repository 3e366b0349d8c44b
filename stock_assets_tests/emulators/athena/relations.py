"""The tables that a statement reads, made readable in DuckDB.

Belongs here: resolving a table of the Glue catalog (Iceberg snapshot, Hive table, view, system table) to rows, and
counting the bytes read. Does not belong here: statements that change something (`engine`).

A statement is counted as having read whole data files of the partitions that its predicates select. Reading fewer
columns, and statistics inside files, reduce nothing here; in Athena they do.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.table import Table as IcebergTable
from sqlglot import exp

from stock_assets_tests.emulators.athena.errors import StatementError
from stock_assets_tests.emulators.athena.predicates import bounds
from stock_assets_tests.emulators.athena.storage import Storage


class Relations:
    """Rows of the tables that one statement reads, registered in its DuckDB connection."""

    def __init__(self, storage: Storage, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.storage = storage
        self.connection = connection
        self.folder = folder
        self.bytes_read = 0
        self._count = 0
        self._stored: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._named: dict[tuple[object, ...], tuple[str, int]] = {}

    def select(self, tree: exp.Expr) -> pa.Table:
        rows: pa.Table = self.connection.sql(self.bound(tree)).to_arrow_table()
        return rows

    def bound(self, tree: exp.Expr) -> str:
        """Return the statement in DuckDB's dialect, with every table replaced by a registered relation."""
        tree = tree.copy()
        for table in list(tree.find_all(exp.Table)):
            if not table.db:
                continue
            relation = exp.to_table(self.relation(table))
            relation.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
            table.replace(relation)
        return tree.sql("duckdb")

    def relation(self, named: exp.Table) -> str:
        """Register the rows of a table once per statement; every mention of the table counts as read."""
        name = (named.db, named.name.partition("$")[0])
        if name not in self._stored:
            self._stored[name] = self.stored(*name)
        stored = self._stored[name]
        [column] = [key["Name"] for key in stored.get("PartitionKeys", [])] or ["trade_date"]
        key = (named.db, named.name, str(named.args.get("version")), bounds(named, column))
        if key not in self._named:
            before = self.bytes_read
            self._named[key] = self.read(named, stored), self.bytes_read - before
        else:
            self.bytes_read += self._named[key][1]
        return self._named[key][0]

    def read(self, named: exp.Table, stored: Mapping[str, Any]) -> str:
        version, system = named.args.get("version"), named.name.partition("$")[2]
        parameters = stored.get("Parameters", {})
        if stored.get("TableType") == "VIRTUAL_VIEW":
            return self.register(self.select(sqlglot.parse_one(stored["ViewOriginalText"], read="athena")))
        if parameters.get("table_type", "").upper() == "ICEBERG":
            table = self.storage.iceberg_table(stored)
            if system:
                return self.register(_system_rows(table, system))
            snapshot_id = int(version.expression.name) if version is not None else None
            if snapshot_id is not None and table.metadata.snapshot_by_id(snapshot_id) is None:
                raise StatementError(f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {snapshot_id}")
            rows = self.storage.iceberg_rows(table, snapshot_id)
            self.bytes_read += self.storage.iceberg_bytes(table, snapshot_id, partition_filter(table, named))
            return self.register(rows)
        return self.external(stored, named)

    def stored(self, database: str, name: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self.storage.glue.get_table(DatabaseName=database, Name=name)["Table"]
        except self.storage.glue.exceptions.EntityNotFoundException:
            raise StatementError(
                f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{database}.{name}' does not exist"
            ) from None
        return found

    def external(self, stored: Mapping[str, Any], named: exp.Table) -> str:
        """Read the files of a Hive table; with partition projection, the folders are the partitions."""
        columns = [column["Name"] for column in stored["StorageDescriptor"]["Columns"]]
        keys = [key["Name"] for key in stored.get("PartitionKeys", [])]
        locations: list[tuple[list[str], str]] = [([], stored["StorageDescriptor"]["Location"])]
        projected = stored["Parameters"].get("projection.enabled") == "true"
        if keys and not projected:
            pages = self.storage.glue.get_partitions(DatabaseName=stored["DatabaseName"], TableName=stored["Name"])
            locations = [(part["Values"], part["StorageDescriptor"]["Location"]) for part in pages["Partitions"]]
        is_csv = "TextInputFormat" in stored["StorageDescriptor"]["InputFormat"]
        parts = []
        low, high = bounds(named, keys[0]) if keys else (None, None)
        for values, location in locations:
            for bucket, key in self.storage.keys(location):
                if projected:
                    values = re.findall(rf"/{keys[0]}=([^/]+)/", key)  # noqa: PLW2901 (the values of this file)
                    if not values or not (low or values[0]) <= values[0] <= (high or values[0]):
                        continue
                if len(values) == len(keys):
                    rows = self.file(bucket, key, columns, is_csv=is_csv)
                    constants = {"$path": f"s3://{bucket}/{key}", **dict(zip(keys, values, strict=True))}
                    for column, value in constants.items():
                        rows = rows.append_column(column, pa.array([value] * rows.num_rows, pa.string()))
                    parts.append(rows)
        empty = pa.schema([(column, pa.string()) for column in (*columns, "$path", *keys)]).empty_table()
        return self.register(pa.concat_tables([empty, *parts]))

    def file(self, bucket: str, key: str, columns: Sequence[str], *, is_csv: bool) -> pa.Table:
        body = self.storage.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        self.bytes_read += len(body)
        file = self.folder / "part"
        file.write_bytes(body)
        if not is_csv:
            rows: pa.Table = self.connection.sql(f"FROM read_parquet('{file}')").to_arrow_table()
            return rows
        # Hadoop's reader ends a line at LF, CR or CRLF; the fields of the SerDe end at the control character 1.
        lines = re.split("\r\n|\n|\r", body.decode())[1:-1]
        fields = [[*line.split("\x01"), *([None] * len(columns))][: len(columns)] for line in lines]
        return pa.Table.from_pylist(
            [dict(zip(columns, line, strict=True)) for line in fields],
            schema=pa.schema([(column, pa.string()) for column in columns]),
        )

    def register(self, rows: pa.Table) -> str:
        self._count += 1
        name = f"relation_{self._count}"
        self.connection.register(name, rows)
        return name


def partition_filter(table: IcebergTable, named: exp.Table) -> str | BooleanExpression:
    """Return a statement's bounds on the trade date as an Iceberg filter; staging tables have no partitions."""
    low, high = (None, None) if table.spec().is_unpartitioned() else bounds(named, "trade_date")
    # A bound at the least date would need the day before it, which pyiceberg cannot compute.
    filters = [f"trade_date >= '{low}'"] if low is not None and low > str(date.min) else []
    filters += [f"trade_date <= '{high}'"] if high is not None else []
    return " AND ".join(filters) or AlwaysTrue()


def _system_rows(table: IcebergTable, system: str) -> pa.Table:
    if system == "refs":
        refs = table.metadata.refs
        return pa.table(
            {
                "name": pa.array(list(refs), pa.string()),
                "snapshot_id": pa.array([ref.snapshot_id for ref in refs.values()], pa.int64()),
            }
        )
    raise StatementError(f"TABLE_NOT_FOUND: no system table {system}")
