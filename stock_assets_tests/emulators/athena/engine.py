"""The emulated engine: statements in Athena's dialect, translated and run on DuckDB, over moto's S3 and Glue.

Belongs here: the effect of a statement on tables. Does not belong here: reading tables (`relations`), HTTP and faults
(`server`), queries in flight (`emulator`).

Iceberg tables are real: pyiceberg writes and reads them through the Glue API, so snapshots, schemas and commit
conflicts are Iceberg's own. The engine rejects what Athena rejects where the project depends on it: a location that is
not empty, more than 100 partitions in one statement, an unknown table, an unknown snapshot.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import sqlglot
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation
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

from stock_assets.backends.pyiceberg_internals import OverwriteFiles, dataframe_to_data_files
from stock_assets.core.clock import utc_now
from stock_assets_tests.emulators.athena import maintenance
from stock_assets_tests.emulators.athena.errors import StatementError
from stock_assets_tests.emulators.athena.relations import Relations, partition_filter
from stock_assets_tests.emulators.athena.storage import Storage

MOST_PARTITIONS = 100
MOST_FILES = 1000
_TYPES: dict[str, PrimitiveType] = {
    "TEXT": StringType(),
    "VARCHAR": StringType(),
    "DATE": DateType(),
    "DOUBLE": DoubleType(),
    "BIGINT": LongType(),
    "BOOLEAN": BooleanType(),
    "TIMESTAMP": TimestampType(),
}


@dataclass
class Engine(Storage):
    """Runs statements on the tables of one endpoint.

    Attributes:
        clock: returns the time of Athena; tests move it ahead so that files grow old without waiting.
        most_partitions: partitions that one statement may write or rewrite.
        most_files: files that one VACUUM removes.
    """

    clock: Callable[[], datetime] = utc_now
    most_partitions: int = MOST_PARTITIONS
    most_files: int = MOST_FILES

    def run(self, text: str) -> tuple[pa.Table | None, int, int]:
        """Run one statement; return its rows, the number of rows it changed, and the bytes it read."""
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


class _Run(Relations):
    """The execution of one statement."""

    def __init__(self, engine: Engine, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        super().__init__(engine, connection, folder)
        self.engine = engine

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

    def create_view(self, tree: exp.Create) -> None:
        table = tree.find(exp.Table)
        assert table is not None
        # Athena rejects a view over tables that it cannot read; checking this reads no data.
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
            table_written = self.engine.catalog.create_table(
                (table.db, table.name), schema=rows.schema, location=location
            )
        except TableAlreadyExistsError as error:
            raise StatementError(f"TABLE_ALREADY_EXISTS: {table.db}.{table.name}") from error
        if rows.num_rows:
            table_written.append(rows)
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
        """Run OPTIMIZE or VACUUM, which sqlglot does not parse."""
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
        """Run MERGE on a copy of the table and commit the copy as the next snapshot, unless no row changed."""
        target = tree.this
        table = self.engine.catalog.load_table((target.db, target.name))
        before = self.engine.iceberg_rows(table, None)
        self.bytes_read += self.engine.iceberg_bytes(table, None, partition_filter(table, target))
        self.connection.register("before", before)
        self.connection.execute("CREATE TABLE target AS FROM before")
        tree = tree.copy()
        tree.this.replace(exp.alias_(exp.to_table("target"), "t", table=True))
        counted = self.connection.execute(self.bound(tree)).fetchone()
        changed = int(counted[0]) if counted else 0
        if not changed:
            return 0
        after = self.connection.sql("FROM target").to_arrow_table().cast(before.schema)
        self.reject_too_many_partitions()
        _commit(table, after)
        return changed

    def reject_too_many_partitions(self) -> None:
        """Reject a MERGE that changed rows of more years than one statement may write."""
        most = self.engine.most_partitions
        [written] = self.connection.execute(
            "SELECT COUNT(DISTINCT YEAR(trade_date)) FROM ("
            "(FROM target EXCEPT ALL FROM before) UNION ALL (FROM before EXCEPT ALL FROM target))"
        ).fetchone() or (0,)
        if written > most:
            raise StatementError(
                f"ICEBERG_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {most} open writers for partitions"
            )


def _commit(table: IcebergTable, rows: pa.Table) -> None:
    old = [task.file for task in table.scan().plan_files()]
    with (
        _commits(table),
        table.transaction() as transaction,
        OverwriteFiles(Operation.OVERWRITE, transaction, table.io) as snapshot,
    ):
        for file in old:
            snapshot.delete_data_file(file)
        # pyiceberg cannot split a table without rows into partitions.
        for file in dataframe_to_data_files(transaction.table_metadata, rows, table.io) if rows.num_rows else ():
            snapshot.append_data_file(file)


@contextmanager
def _commits(table: IcebergTable) -> Iterator[None]:
    """Convert errors of a commit to Athena's errors."""
    try:
        yield
    except CommitFailedException as error:
        name = table.name()[-1]
        raise StatementError(
            f"ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table: {name}: {error}"
        ) from error
    except (maintenance.RejectedProperty, maintenance.MoreRunsNeeded) as error:
        raise StatementError(str(error)) from error
