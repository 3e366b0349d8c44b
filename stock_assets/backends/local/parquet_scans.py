"""SELECTs over Parquet files in DuckDB's dialect.

Belongs here: naming files, and reading the files of a published table by field id. Does not belong here: which files
these are (`table_reader`, `staged_files`), running a statement (`warehouse`).
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pyiceberg.table import Table as IcebergTable

from stock_assets.backends.local.table_reader import TableFile
from stock_assets.core.sql import literal
from stock_assets.core.tables import Table

_RECENT = timedelta(days=92)
"""A load of the newest sessions looks back less than a month."""
_FEW_FILES = 3
"""Opening a file costs a third of what planning a second list of files does."""


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


def scan_by_age(table: Table, stored: IcebergTable | None, files: Sequence[TableFile]) -> str:
    """Return a `scan` of which a statement with a condition on recent sessions does not open the older files.

    DuckDB opens every file of a list before it compares the condition with the file's statistics, so the load of a
    session would take longer with each year of history. A condition that contradicts the bound of the older files
    removes their whole list from the plan. Statements without such a condition read both lists, more slowly than one.
    A row is never later than the bound that Iceberg has of its file.
    """
    newest = max((file.last_session for file in files if file.last_session is not None), default=None)
    older = {
        file.path: file.last_session
        for file in files
        if newest is not None and file.last_session is not None and file.last_session < newest - _RECENT
    }
    if len(older) <= _FEW_FILES:
        return scan(table, stored, [file.path for file in files])
    recent = scan(table, stored, [file.path for file in files if file.path not in older])
    bound = literal(max(older.values()))
    return f"{scan(table, stored, list(older))} WHERE trade_date <= {bound} UNION ALL {recent}"


def read_parquet(*files: Path) -> str:
    """Return the SELECT over files that have the same columns."""
    paths = ", ".join(path_literal(str(file)) for file in files)
    return f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false)"  # noqa: S608 (escaped)


def path_literal(file: str) -> str:
    """Return the path of one file as SQL text: in DuckDB `*`, `?` and `[` stand for other characters."""
    return literal(re.sub(r"[*?\[]", r"[\g<0>]", file))


def _type_of(table: Table, name: str) -> str:
    return next((column.type.value for column in table.columns if column.name == name), "varchar")
