"""SELECTs over Parquet files in DuckDB's dialect.

Belongs here: naming files, and reading the files of a published table by field id. Does not belong here: which files
these are (`table_reader`, `staged_files`), running a statement (`warehouse`).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.table import Table as IcebergTable

from stock_assets.core.sql import literal
from stock_assets.core.tables import Table


def scan(table: Table, stored: IcebergTable | None, files: Sequence[str]) -> str:
    """Return the SELECT over the Parquet files of the loaded snapshot."""
    nulls = {column.name: f"CAST(NULL AS {column.type}) AS {column.name}" for column in table.columns}
    if stored is None or not files:
        return f"SELECT {', '.join(nulls.values())} WHERE false"
    # A column that the contract gained is added to the table by the next publish; until then it has no field id.
    present = {field.name for field in stored.schema().fields}
    columns = ", ".join(name if name in present else null for name, null in nulls.items())
    fields = ", ".join(
        f"{field.field_id}: {{name: '{field.name}', type: '{_type_of(table, field.name)}', default_value: NULL}}"
        for field in stored.schema().fields
    )
    paths = ", ".join(map(path_literal, files))
    return f"SELECT {columns} FROM read_parquet([{paths}], schema = MAP {{{fields}}}, hive_partitioning = false)"  # noqa: S608 (escaped by literal)


def read_parquet(*files: Path) -> str:
    """Return the SELECT over files that have the same columns."""
    paths = ", ".join(path_literal(str(file)) for file in files)
    return f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false)"  # noqa: S608 (escaped)


def path_literal(file: str) -> str:
    """Return the path of one file as SQL text: in DuckDB `*`, `?` and `[` stand for other characters."""
    return literal(re.sub(r"[*?\[]", r"[\g<0>]", file))


def _type_of(table: Table, name: str) -> str:
    return next((column.type.value for column in table.columns if column.name == name), "varchar")
