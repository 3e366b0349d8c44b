"""The interface of the statements that differ between Athena and Trino: DDL and maintenance.

Belongs here: which statements an engine must write, and the types of the catalog. Does not belong here: the texts
(`athena.ddl`, `trino.ddl`), sending them (`sql_engine`), queries and MERGE, which are the same text on both.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from stock_assets.core.sql import Fragment, Name, statement
from stock_assets.core.tables import Column, ColumnType

LONGEST_COMMENT = 255
"""Longest comment of a column that Glue stores, in characters."""
STORED_TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.DATE: "date",
    ColumnType.DOUBLE: "double",
    ColumnType.INTEGER: "bigint",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
}
"""Type names of the catalog and of Athena's DDL."""
FEWEST_DATA_FILES = 2
"""Small files of a partition from which on it is compacted."""
SMALL_BYTES = 402_653_184
"""Size below which OPTIMIZE considers a file small: three quarters of its target of 512 MiB."""


class Ddl(ABC):
    """Write DDL and maintenance statements for one engine. Names are `database.table`."""

    def view(self, name: Name, select: str) -> str:
        """Create or replace a view."""
        return statement("ddl/athena/view.sql").bind({"view": name, "select": Fragment(select)})

    def external(self, name: str) -> str:
        """Return the name of a Hive table in a query."""
        return name

    @abstractmethod
    def published_table(self, name: Name, columns: Sequence[Column], location: str) -> str:
        """Create a published table unless it exists."""

    @abstractmethod
    def add_columns(self, name: Name, columns: Sequence[Column]) -> list[str]:
        """Add columns at the end of a table."""

    @abstractmethod
    def staging_table(self, name: Name, location: str, select: str) -> str:
        """Create a staging table from a query."""

    @abstractmethod
    def raw_table(self, name: Name, location: str) -> str:
        """Create the table over the raw responses unless it exists."""

    @abstractmethod
    def compact(self, name: Name) -> list[str]:
        """Rewrite small files and files with deleted rows of each partition into few large files."""

    @abstractmethod
    def vacuum(self, name: Name, *, seconds: int, snapshots: int, snapshots_seconds: int) -> list[str]:
        """Expire old snapshots and remove the files that no snapshot needs.

        Args:
            name: the table.
            seconds: snapshots, and files that no snapshot needs, up to this age stay.
            snapshots: this many of the newest snapshots stay, however old.
            snapshots_seconds: age that also protects these snapshots, for engines that cannot count snapshots.
        """


def partition_template(location: str) -> str:
    """Return the folder of the responses of one ingest date, for partition projection."""
    return f"{location}ingest_date=${{ingest_date}}/"
