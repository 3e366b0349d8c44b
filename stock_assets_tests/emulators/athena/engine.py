"""What stands in for Athena's engine: statements in its dialect, translated and run on DuckDB, over moto's S3 and Glue.

Belongs here: what a statement does to tables. Does not belong here: HTTP, faults, queries in flight (`server`).

Iceberg tables are real ones, written and read by pyiceberg through the Glue API, so that versions, schemas and
conflicts of commits are Iceberg's own. What Athena refuses is refused where the project depends on it: a location that
is not empty, more than 100 partitions in one statement, a table that is not there, a version that is not there.

A statement is said to have read the data files of the partitions that its predicates leave, whole: fewer columns, or
statistics inside files, are not made use of.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import sqlglot
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.transforms import YearTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestampType,
)
from sqlglot import exp

from stock_assets.backends.pyiceberg_internals import dataframe_to_data_files
from stock_assets.core.clock import utc_now
from stock_assets_tests.emulators.athena import maintenance
from stock_assets_tests.emulators.athena.predicates import bounds

MOST_PARTITIONS = 100
MAX_FILES = 1000
_TYPES: dict[str, PrimitiveType] = {
    "TEXT": StringType(),
    "VARCHAR": StringType(),
    "DATE": DateType(),
    "DOUBLE": DoubleType(),
    "BIGINT": LongType(),
    "BOOLEAN": BooleanType(),
    "TIMESTAMP": TimestampType(),
}


class StatementError(Exception):
    """Athena's way of saying no: a code and a text."""


@dataclass
class Engine:
    """Runs statements against one endpoint.

    Attributes:
        endpoint: where S3 and Glue answer.
        region: of them.
        clock: gives its time, so that a test need not wait for anything to grow old.
        most_partitions: what one statement may write to, or rewrite.
        most_files: what one VACUUM removes.
    """

    endpoint: str
    region: str
    clock: Callable[[], datetime] = utc_now
    most_partitions: int = MOST_PARTITIONS
    most_files: int = MAX_FILES
    _rows: dict[tuple[str, int | None, int], pa.Table] = field(default_factory=dict)
    _sizes: dict[tuple[str, int | None, str], int] = field(default_factory=dict)

    def run(self, text: str) -> tuple[pa.Table | None, int, int]:
        """Run one statement; give its rows, the rows it changed, and the bytes it read."""
        try:
            parsed = sqlglot.parse(text, read="athena")
        except sqlglot.errors.SqlglotError as error:
            raise StatementError(f"SYNTAX_ERROR: {str(error).splitlines()[0]}") from error
        tree = parsed[0]
        if len(parsed) != 1 or tree is None:
            raise StatementError("Only one sql statement is allowed.")
        with duckdb.connect(":memory:") as connection, tempfile.TemporaryDirectory() as folder:
            connection.execute("SET disabled_optimizers='type_pushdown'")
            connection.execute("SET TimeZone='UTC'")
            run = _Run(self, connection, Path(folder))
            try:
                rows, changed = run.statement(tree)
            except duckdb.Error as error:
                raise StatementError(f"GENERIC_USER_ERROR: {str(error).splitlines()[0]}") from error
            return rows, changed, run.bytes_read

    @property
    def s3(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._client("s3")

    @property
    def glue(self) -> Any:  # noqa: ANN401
        return self._client("glue")

    @property
    def catalog(self) -> GlueCatalog:
        return GlueCatalog("double", client=self.glue, **{"s3.endpoint": self.endpoint, "s3.region": self.region})

    def keys(self, location: str) -> list[tuple[str, str]]:
        """List what lies under a location, as (bucket, key)."""
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/") + "/" if prefix else ""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [(bucket, found["Key"]) for page in pages for found in page.get("Contents", [])]

    def written(self, location: str) -> dict[str, datetime]:
        """Tell of each file under a location since when it lies there."""
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
        """Read a version; versions never change, so each is read once."""
        current = table.current_snapshot()
        chosen = snapshot_id if snapshot_id is not None else (current.snapshot_id if current else None)
        schema_id = table.schema().schema_id if snapshot_id is None else -1
        key = (table.metadata.table_uuid.hex, chosen, schema_id)
        if key not in self._rows:
            self._rows[key] = table.scan(snapshot_id=snapshot_id).to_arrow()
        return self._rows[key]

    def iceberg_bytes(self, table: IcebergTable, snapshot_id: int | None, partitions: str | BooleanExpression) -> int:
        """Measure the data files of a version that a filter on the partitions leaves."""
        current = table.current_snapshot()
        chosen = snapshot_id if snapshot_id is not None else (current.snapshot_id if current else None)
        key = (table.metadata.table_uuid.hex, chosen, str(partitions))
        if key not in self._sizes:
            files = table.scan(row_filter=partitions, snapshot_id=snapshot_id).plan_files()
            self._sizes[key] = sum(task.file.file_size_in_bytes for task in files)
        return self._sizes[key]

    def _client(self, service: str) -> Any:  # noqa: ANN401
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region)


@dataclass
class _Run:
    """One statement."""

    engine: Engine
    connection: duckdb.DuckDBPyConnection
    folder: Path
    bytes_read: int = 0
    _relations: int = 0

    def statement(self, tree: exp.Expr) -> tuple[pa.Table | None, int]:
        match tree:
            case exp.Query():
                return self.select(tree), -1
            case exp.Create() if tree.args.get("kind") == "VIEW":
                self.create_view(tree)
            case exp.Create() if tree.expression is not None and not isinstance(tree.this, exp.Schema):
                return None, self.create_table_as(tree)
            case exp.Create():
                self.create_table(tree)
            case exp.Alter() if tree.find(exp.AlterSet):
                self.set_properties(tree)
            case exp.Alter():
                self.add_columns(tree)
            case exp.Command():
                self.maintain(tree.sql("athena"))
            case exp.Merge():
                return None, self.merge(tree)
            case _:
                raise StatementError(f"NOT_SUPPORTED: {tree.sql('athena')[:80]}")
        return None, -1

    def select(self, tree: exp.Expr) -> pa.Table:
        rows: pa.Table = self.connection.sql(self.bound(tree)).to_arrow_table()
        return rows

    def bound(self, tree: exp.Expr) -> str:
        """Put what can be read in DuckDB in the place of every table, and translate."""
        tree = tree.copy()
        for table in list(tree.find_all(exp.Table)):
            if not table.db:
                continue
            relation = exp.to_table(self.relation(table))
            relation.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
            table.replace(relation)
        return tree.sql("duckdb")

    def relation(self, named: exp.Table) -> str:
        database, version = named.db, named.args.get("version")
        name, _, system = named.name.partition("$")
        stored = self.stored(database, name)
        parameters = stored.get("Parameters", {})
        if stored.get("TableType") == "VIRTUAL_VIEW":
            return self.show(self.select(sqlglot.parse_one(stored["ViewOriginalText"], read="athena")))
        if parameters.get("table_type", "").upper() == "ICEBERG":
            table = self.engine.catalog.load_table((database, name))
            if system:
                return self.show(_system_rows(table, system))
            snapshot_id = int(version.expression.name) if version is not None else None
            if snapshot_id is not None and table.metadata.snapshot_by_id(snapshot_id) is None:
                raise StatementError(f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {snapshot_id}")
            rows = self.engine.iceberg_rows(table, snapshot_id)
            self.bytes_read += self.engine.iceberg_bytes(table, snapshot_id, _partitions(table, named))
            return self.show(rows)
        return self.external(stored, named)

    def stored(self, database: str, name: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self.engine.glue.get_table(DatabaseName=database, Name=name)["Table"]
        except self.engine.glue.exceptions.EntityNotFoundException:
            raise StatementError(
                f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{database}.{name}' does not exist"
            ) from None
        return found

    def external(self, stored: Mapping[str, Any], named: exp.Table) -> str:
        """Read the files of a Hive table; with projection, the partitions are the folders."""
        columns = [column["Name"] for column in stored["StorageDescriptor"]["Columns"]]
        keys = [key["Name"] for key in stored.get("PartitionKeys", [])]
        locations: list[tuple[list[str], str]] = [([], stored["StorageDescriptor"]["Location"])]
        projected = stored["Parameters"].get("projection.enabled") == "true"
        if keys and not projected:
            pages = self.engine.glue.get_partitions(DatabaseName=stored["DatabaseName"], TableName=stored["Name"])
            locations = [(part["Values"], part["StorageDescriptor"]["Location"]) for part in pages["Partitions"]]
        is_csv = "TextInputFormat" in stored["StorageDescriptor"]["InputFormat"]
        parts = []
        low, high = bounds(named, keys[0]) if keys else (None, None)
        for values, location in locations:
            for bucket, key in self.engine.keys(location):
                if projected:
                    values = re.findall(rf"/{keys[0]}=([^/]+)/", key)  # noqa: PLW2901 (of this file)
                    if not values or not (low or values[0]) <= values[0] <= (high or values[0]):
                        continue
                if len(values) == len(keys):
                    rows = self.file(bucket, key, columns, is_csv=is_csv)
                    constants = {"$path": f"s3://{bucket}/{key}", **dict(zip(keys, values, strict=True))}
                    for column, value in constants.items():
                        rows = rows.append_column(column, pa.array([value] * rows.num_rows, pa.string()))
                    parts.append(rows)
        empty = pa.schema([(column, pa.string()) for column in (*columns, "$path", *keys)]).empty_table()
        return self.show(pa.concat_tables([empty, *parts]))

    def file(self, bucket: str, key: str, columns: Sequence[str], *, is_csv: bool) -> pa.Table:
        body = self.engine.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        self.bytes_read += len(body)
        file = self.folder / "part"
        file.write_bytes(body)
        if not is_csv:
            rows: pa.Table = self.connection.sql(f"FROM read_parquet('{file}')").to_arrow_table()
            return rows
        types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
        rows = self.connection.sql(
            f"FROM read_csv('{file}', columns = {{{types}}}, header = false, skip = 1, auto_detect = false, "
            "delim = ',', quote = '\"')"
        ).to_arrow_table()
        return rows.cast(pa.schema([(column, pa.string()) for column in columns]))

    def show(self, rows: pa.Table) -> str:
        self._relations += 1
        name = f"relation_{self._relations}"
        self.connection.register(name, rows)
        return name

    def create_view(self, tree: exp.Create) -> None:
        table = tree.find(exp.Table)
        assert table is not None
        # Athena refuses a view over what it cannot read, and reads nothing to see that.
        self.select(tree.expression)
        self.bytes_read = 0
        view = {"Name": table.name, "TableType": "VIRTUAL_VIEW", "ViewOriginalText": tree.expression.sql("athena")}
        glue = self.engine.glue
        try:
            glue.create_table(DatabaseName=table.db, TableInput=view)
        except glue.exceptions.AlreadyExistsException:
            glue.update_table(DatabaseName=table.db, TableInput=view)

    def create_table_as(self, tree: exp.Create) -> int:
        table = tree.this
        property_of = tree.find(exp.LocationProperty)
        assert property_of is not None
        location = property_of.this.name
        if self.engine.keys(location):
            raise StatementError(f"ICEBERG_FILESYSTEM_ERROR: Cannot create a table on a non-empty location: {location}")
        rows = self.select(tree.expression)
        try:
            made = self.engine.catalog.create_table((table.db, table.name), schema=rows.schema, location=location)
        except TableAlreadyExistsError as error:
            raise StatementError(f"TABLE_ALREADY_EXISTS: {table.db}.{table.name}") from error
        if rows.num_rows:
            made.append(rows)
        return int(rows.num_rows)

    def create_table(self, tree: exp.Create) -> None:
        table = tree.find(exp.Table)
        location = tree.find(exp.LocationProperty)
        assert table is not None
        assert location is not None
        properties = {
            item.name: item.args["value"].name for item in tree.find_all(exp.Property) if type(item) is exp.Property
        }
        if properties.get("table_type") == "ICEBERG":
            self.create_iceberg(table, tree.this.expressions, location.this.name)
            return
        partitions = tree.find(exp.PartitionedByProperty)
        assert partitions is not None
        described = {
            "Name": table.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": properties,
            "PartitionKeys": [{"Name": column.name, "Type": "string"} for column in partitions.this.expressions],
            "StorageDescriptor": {
                "Columns": [{"Name": column.name, "Type": "string"} for column in tree.this.expressions],
                "Location": location.this.name,
                "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
            },
        }
        try:
            self.engine.glue.create_table(DatabaseName=table.db, TableInput=described)
        except self.engine.glue.exceptions.AlreadyExistsException:
            if not tree.args.get("exists"):
                raise StatementError(f"TABLE_ALREADY_EXISTS: {table.db}.{table.name}") from None

    def create_iceberg(self, table: exp.Table, columns: Sequence[exp.ColumnDef], location: str) -> None:
        fields = [
            NestedField(number, column.name, _TYPES[column.args["kind"].this.value], required=False)
            for number, column in enumerate(columns, start=1)
        ]
        day = next(found.field_id for found in fields if found.name == "trade_date")
        try:
            self.engine.catalog.create_table(
                (table.db, table.name),
                schema=Schema(*fields),
                location=location.rstrip("/"),
                partition_spec=PartitionSpec(PartitionField(day, 1000, YearTransform(), "trade_date_year")),
                properties={"commit.retry.num-retries": "0"},
            )
        except TableAlreadyExistsError:
            return

    def add_columns(self, tree: exp.Alter) -> None:
        columns = [column for action in tree.args["actions"] for column in action.find_all(exp.ColumnDef)]
        try:
            table = self.engine.catalog.load_table((tree.this.db, tree.this.name))
            with table.update_schema() as update:
                for column in columns:
                    update.add_column(column.name, _TYPES[column.args["kind"].this.value])
        except (NoSuchTableError, ValueError) as error:
            raise StatementError(f"COLUMN_ALREADY_EXISTS: {error}") from error

    def set_properties(self, tree: exp.Alter) -> None:
        table = self.engine.catalog.load_table((tree.this.db, tree.this.name))
        properties = {item.name: item.args["value"].name for item in tree.find_all(exp.Property)}
        with _commits(table):
            maintenance.set_properties(table, properties)

    def maintain(self, text: str) -> None:
        """Run OPTIMIZE or VACUUM, which the parser leaves as they stand."""
        found = re.fullmatch(r"(OPTIMIZE|VACUUM) (\w+)\.(\w+)( REWRITE DATA USING BIN_PACK)?", text)
        if found is None or (found[1] == "OPTIMIZE") != bool(found[4]):
            raise StatementError(f"NOT_SUPPORTED: {text[:80]}")
        self.stored(found[2], found[3])
        table = self.engine.catalog.load_table((found[2], found[3]))
        with _commits(table):
            if found[1] == "OPTIMIZE":
                self.bytes_read += maintenance.optimize(table, most_partitions=self.engine.most_partitions)
            else:
                maintenance.vacuum(
                    table,
                    maintenance.Folder(lambda: self.engine.written(table.location()), self.engine.remove),
                    now=self.engine.clock(),
                    most_files=self.engine.most_files,
                )

    def merge(self, tree: exp.Merge) -> int:
        """Run it on a copy of the table, and commit the copy as the next version, unless it is the same."""
        target = tree.this
        table = self.engine.catalog.load_table((target.db, target.name))
        before = self.engine.iceberg_rows(table, None)
        self.bytes_read += self.engine.iceberg_bytes(table, None, _partitions(table, target))
        self.connection.register("before", before)
        self.connection.execute("CREATE TABLE target AS FROM before")
        tree = tree.copy()
        tree.this.replace(exp.alias_(exp.to_table("target"), "t", table=True))
        counted = self.connection.execute(self.bound(tree)).fetchone()
        changed = int(counted[0]) if counted else 0
        if not changed:
            return 0
        after = self.connection.sql("FROM target").to_arrow_table().cast(before.schema)
        self.refuse_too_many_partitions()
        _commit(table, after)
        return changed

    def refuse_too_many_partitions(self) -> None:
        """Count the years of the rows that a MERGE has changed."""
        most = self.engine.most_partitions
        [written] = self.connection.execute(
            "SELECT COUNT(DISTINCT YEAR(trade_date)) FROM ("
            "(FROM target EXCEPT ALL FROM before) UNION ALL (FROM before EXCEPT ALL FROM target))"
        ).fetchone() or (0,)
        if written > most:
            raise StatementError(
                f"ICEBERG_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {most} open writers for partitions"
            )


def _partitions(table: IcebergTable, named: exp.Table) -> str | BooleanExpression:
    """Write what a statement says of the days it reads, as Iceberg prunes by it; staging tables have no partitions."""
    low, high = (None, None) if table.spec().is_unpartitioned() else bounds(named, "trade_date")
    # pyiceberg cannot compute with the day before the first one, which a bound of the least date needs.
    said = [f"trade_date >= '{low}'"] if low is not None and low > str(date.min) else []
    said += [f"trade_date <= '{high}'"] if high is not None else []
    return " AND ".join(said) or AlwaysTrue()


def _commit(table: IcebergTable, rows: pa.Table) -> None:
    old = [task.file for task in table.scan().plan_files()]
    with (
        _commits(table),
        table.transaction() as transaction,
        transaction.update_snapshot().overwrite() as snapshot,
    ):
        for file in old:
            snapshot.delete_data_file(file)
        # pyiceberg cannot split a table without rows into partitions.
        for file in dataframe_to_data_files(transaction.table_metadata, rows, table.io) if rows.num_rows else ():
            snapshot.append_data_file(file)


@contextmanager
def _commits(table: IcebergTable) -> Iterator[None]:
    """Say what goes wrong with a commit as Athena does."""
    try:
        yield
    except CommitFailedException as error:
        name = table.name()[-1]
        raise StatementError(
            f"ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table: {name}: {error}"
        ) from error
    except (maintenance.RefusedProperty, maintenance.MoreRunsNeeded) as error:
        raise StatementError(str(error)) from error


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
