"""DDL and maintenance statements in Athena's syntax.

Belongs here: the text of each statement for Athena. Does not belong here: which statements an engine must write
(`lakehouse.ddl`), running a statement (`engine`).
"""

from collections.abc import Sequence

from stock_assets.backends.lakehouse.ddl import (
    FEWEST_DATA_FILES,
    LONGEST_COMMENT,
    STORED_TYPES,
    Ddl,
    partition_template,
)
from stock_assets.core.sql import Fragment, Name, SqlValue, statement
from stock_assets.core.tables import Column

_FEWEST_DELETE_FILES = 1
_METADATA_FILES = 100


class AthenaDdl(Ddl):
    """Athena reads these statements in the dialect of Hive, except CREATE TABLE AS and views."""

    def published_table(self, name: Name, columns: Sequence[Column], location: str) -> str:
        """Bind sql/ddl/athena/published_table.sql."""
        text = Fragment(",\n    ".join(map(_column, columns)))
        return statement("ddl/athena/published_table.sql").bind({"table": name, "columns": text, "location": location})

    def add_columns(self, name: Name, columns: Sequence[Column]) -> list[str]:
        """Bind sql/ddl/athena/add_columns.sql once for all columns."""
        text = Fragment(", ".join(map(_column, columns)))
        return [statement("ddl/athena/add_columns.sql").bind({"table": name, "columns": text})]

    def staging_table(self, name: Name, location: str, select: str) -> str:
        """Bind sql/ddl/athena/staging_table.sql."""
        values: dict[str, SqlValue] = {"table": name, "location": location, "select": Fragment(select)}
        return statement("ddl/athena/staging_table.sql").bind(values)

    def raw_table(self, name: Name, location: str) -> str:
        """Bind sql/ddl/athena/raw_prices.sql."""
        values: dict[str, SqlValue] = {"table": name, "location": location, "template": partition_template(location)}
        return statement("ddl/athena/raw_prices.sql").bind(values)

    def compact(self, name: Name) -> list[str]:
        """Bind sql/ddl/athena/compaction.sql and sql/ddl/athena/optimize.sql."""
        thresholds: dict[str, SqlValue] = {
            "data_files": str(FEWEST_DATA_FILES),
            "delete_files": str(_FEWEST_DELETE_FILES),
        }
        return [
            statement("ddl/athena/compaction.sql").bind({"table": name, **thresholds}),
            statement("ddl/athena/optimize.sql").bind({"table": name}),
        ]

    def vacuum(self, name: Name, *, seconds: int, snapshots: int, snapshots_seconds: int) -> list[str]:  # noqa: ARG002 (it counts snapshots)
        """Bind sql/ddl/athena/retention.sql and sql/ddl/athena/vacuum.sql."""
        kept: dict[str, SqlValue] = {
            "seconds": str(seconds),
            "snapshots": str(snapshots),
            "metadata_files": str(_METADATA_FILES),
        }
        return [
            statement("ddl/athena/retention.sql").bind({"table": name, **kept}),
            statement("ddl/athena/vacuum.sql").bind({"table": name}),
        ]


def _column(column: Column) -> str:
    """Format a column for DDL, whose string literals have backslash escapes, as in Hive."""
    comment = column.meaning[:LONGEST_COMMENT].replace("\\", "\\\\").replace("'", "\\'")
    return f"`{column.name}` {STORED_TYPES[column.type]} COMMENT '{comment}'"
