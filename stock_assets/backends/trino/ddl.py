"""DDL and maintenance statements in Trino's syntax.

Belongs here: the statements that differ from Athena's (`athena.ddl`); all other statements are the same. Does not
belong here: sending them (`engine`).
"""

from collections.abc import Sequence

from stock_assets.backends.lakehouse.ddl import LONGEST_COMMENT, SMALL_BYTES, Ddl, partition_template
from stock_assets.core.sql import Fragment, Name, SqlValue, literal, statement
from stock_assets.core.tables import Column, ColumnType

_STORED_TYPES = {ColumnType.TIMESTAMP: "timestamp(6)"}
"""Type names of Trino that differ from the contract's: a plain timestamp in Trino has milliseconds only."""


class TrinoDdl(Ddl):
    """Name Iceberg tables in the connection's catalog, and Hive tables with the catalog of the Hive connector."""

    def __init__(self, hive_catalog: str) -> None:
        self._hive_catalog = hive_catalog

    def external(self, name: str) -> str:
        """Return the name with the Hive catalog before it."""
        return f"{self._hive_catalog}.{name}"

    def published_table(self, name: Name, columns: Sequence[Column], location: str) -> str:
        """Bind sql/ddl/trino/published_table.sql."""
        text = Fragment(",\n    ".join(map(_column, columns)))
        return statement("ddl/trino/published_table.sql").bind({"table": name, "columns": text, "location": location})

    def add_columns(self, name: Name, columns: Sequence[Column]) -> list[str]:
        """Bind sql/ddl/trino/add_columns.sql for each column."""
        return [
            statement("ddl/trino/add_columns.sql").bind({"table": name, "column": Fragment(_column(column))})
            for column in columns
        ]

    def staging_table(self, name: Name, location: str, select: str) -> str:
        """Bind sql/ddl/trino/staging_table.sql."""
        values: dict[str, SqlValue] = {"table": name, "location": location, "select": Fragment(select)}
        return statement("ddl/trino/staging_table.sql").bind(values)

    def raw_table(self, name: Name, location: str) -> str:
        """Bind sql/ddl/trino/raw_prices.sql."""
        values: dict[str, SqlValue] = {
            "table": Name(self.external(name.value)),
            "location": location,
            "template": partition_template(location),
        }
        return statement("ddl/trino/raw_prices.sql").bind(values)

    def compact(self, name: Name) -> list[str]:
        """Bind sql/ddl/trino/optimize.sql."""
        return [statement("ddl/trino/optimize.sql").bind({"table": name, "threshold": f"{SMALL_BYTES}B"})]

    def vacuum(self, name: Name, *, seconds: int, snapshots: int, snapshots_seconds: int) -> list[str]:  # noqa: ARG002 (Trino cannot count snapshots)
        """Bind sql/ddl/trino/expire_snapshots.sql and sql/ddl/trino/remove_orphan_files.sql."""
        return [
            statement("ddl/trino/expire_snapshots.sql").bind({"table": name, "age": f"{snapshots_seconds}s"}),
            statement("ddl/trino/remove_orphan_files.sql").bind({"table": name, "age": f"{seconds}s"}),
        ]


def _column(column: Column) -> str:
    comment = literal(column.meaning[:LONGEST_COMMENT])
    return f"{column.name} {_STORED_TYPES.get(column.type, column.type.value)} COMMENT {comment}"
