"""The statements that change the catalog: where Athena and Trino differ.

Belongs here: writing these statements, for Athena; what Trino writes otherwise is in `backends.trino.ddl`. Does not belong
here: sending them (`engine`), queries and MERGE, which are the same text on both.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from stock_assets.core.sql import Fragment, Name, statement
from stock_assets.core.tables import Column, ColumnType

LONGEST_COMMENT = 255
"""Characters that Glue keeps of a column's comment."""
STORED_TYPES = {
    ColumnType.TEXT: "string",
    ColumnType.DATE: "date",
    ColumnType.DOUBLE: "double",
    ColumnType.INTEGER: "bigint",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamp",
}
"""Types by the names that the catalog uses, and Athena's statements that change it."""


FEWEST_DATA_FILES = 2
"""Files of a partition that are worth writing anew."""
SMALL_BYTES = 402_653_184
"""Size below which OPTIMIZE takes a file for small: three quarters of the 512 MiB it aims at."""


class Ddl(ABC):
    """How an engine spells what changes the catalog. Names are `database.table`."""

    def view(self, name: Name, select: str) -> str:
        """Make or replace a view."""
        return statement("ddl/athena/view.sql").bind({"view": name, "select": Fragment(select)})

    def external(self, name: str) -> str:
        """Give the name under which a query finds a table that is no Iceberg table."""
        return name

    @abstractmethod
    def published_table(self, name: Name, columns: Sequence[Column], location: str) -> str:
        """Make a published table, unless there is one."""

    @abstractmethod
    def add_columns(self, name: Name, columns: Sequence[Column]) -> list[str]:
        """Add columns at the end of a table."""

    @abstractmethod
    def staging_table(self, name: Name, location: str, select: str) -> str:
        """Make a staging table of a query's rows."""

    @abstractmethod
    def raw_table(self, name: Name, location: str) -> str:
        """Make the table over the stored answers, unless there is one."""

    @abstractmethod
    def compact(self, name: Name) -> list[str]:
        """Write the small files of each partition anew as few large ones, and those with rows marked as deleted."""

    @abstractmethod
    def clean(self, name: Name, *, seconds: int, versions: int, versions_seconds: int) -> list[str]:
        """Take old versions out of a table, and remove the files that no version needs.

        Args:
            name: the table.
            seconds: age up to which files that no version needs stay, and versions too.
            versions: how many of the newest versions stay, however old.
            versions_seconds: age that protects those versions by itself, for engines that count none.
        """


def partition_template(location: str) -> str:
    """Say where the answers of an ingest date lie, for the projection of partitions."""
    return f"{location}ingest_date=${{ingest_date}}/"
