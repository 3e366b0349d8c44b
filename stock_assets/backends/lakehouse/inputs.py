"""Small tables that a step passes to SQL: inline as VALUES, or uploaded to the bucket if they are large.

Belongs here: making Arrow rows readable for the engine without a statement. Does not belong here: which rows these are
(`loads.inputs`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from io import BytesIO
from itertools import count

import pyarrow as pa
import pyarrow.parquet

from stock_assets.backends.lakehouse.glue import Glue, external_parquet
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.core.sql import literal
from stock_assets.core.tables import ColumnType

LARGEST_VALUES = 6_000
"""Characters up to which a table is written inline; a statement may contain it several times."""
_TYPES: dict[pa.DataType, ColumnType] = {
    pa.string(): ColumnType.TEXT,
    pa.large_string(): ColumnType.TEXT,
    pa.date32(): ColumnType.DATE,
    pa.float64(): ColumnType.DOUBLE,
    pa.int64(): ColumnType.INTEGER,
    pa.bool_(): ColumnType.BOOLEAN,
    pa.timestamp("us"): ColumnType.TIMESTAMP,
}


@dataclass(frozen=True)
class InputStore:
    """The place to which large input tables of one connection are uploaded.

    Attributes:
        objects: the bucket.
        glue: the catalog.
        database: Glue database of the staging tables.
        folder: folder of this connection, ends with `/`.
        stem: prefix of the names of its tables.
        external: returns the name of a Hive table in a query.
    """

    objects: S3Objects
    glue: Glue
    database: str
    folder: str
    stem: str
    external: Callable[[str], str]
    _numbers: Iterator[int] = field(default_factory=count, init=False)

    def relation(self, name: str, rows: pa.Table) -> str:
        """Return SQL that can follow FROM and reads these rows; upload them if they are large."""
        inline = as_values(rows)
        if len(inline) <= LARGEST_VALUES:
            return inline
        return self._upload(name, rows)

    def _upload(self, name: str, rows: pa.Table) -> str:
        """Upload the rows as text and cast them back: a timestamp in a Hive Parquet table loses its microseconds."""
        texts = pa.table(
            {
                column: pa.array([_text(value) for value in rows[column].to_pylist()], pa.string())
                for column in rows.column_names
            }
        )
        body = BytesIO()
        pa.parquet.write_table(texts, body)
        # The rows of a name may be replaced, and no object ever is.
        upload = f"{name}_{next(self._numbers)}"
        self.objects.put(f"{self.folder}{upload}/rows.parquet", body.getvalue())
        table = f"{self.stem}{upload}"
        location = self.objects.uri(f"{self.folder}{upload}/")
        self.glue.create(self.database, external_parquet(table, rows.column_names, location))
        columns = ", ".join(
            f'CAST("{field.name}" AS {cast_type(column_type(field.type))}) AS "{field.name}"' for field in rows.schema
        )
        return f"(SELECT {columns} FROM {self.external(f'{self.database}.{table}')})"  # noqa: S608 (plain names)


def as_values(rows: pa.Table) -> str:
    """Format a table as a subquery over VALUES; casts in the first row set the types."""
    names = ", ".join(f'"{name}"' for name in rows.column_names)
    types = [cast_type(column_type(field.type)) for field in rows.schema]
    if not rows.num_rows:
        columns = ", ".join(
            f'CAST(NULL AS {of}) AS "{name}"' for name, of in zip(rows.column_names, types, strict=True)
        )
        return f"(SELECT {columns} WHERE FALSE)"
    lines = []
    for number, row in enumerate(rows.to_pylist()):
        values = [_sql(value) for value in row.values()]
        if not number:
            values = [f"CAST({value} AS {of})" for value, of in zip(values, types, strict=True)]
        lines.append(f"({', '.join(values)})")
    return f"(SELECT * FROM (VALUES {', '.join(lines)}) AS v ({names}))"  # noqa: S608 (escaped by literal)


def column_type(of: pa.DataType) -> ColumnType:
    """Return the contract type of an Arrow type."""
    return _TYPES[of]


def cast_type(of: ColumnType) -> str:
    """Format a type for a CAST in Athena; Iceberg stores microseconds and accepts no coarser timestamp."""
    return "timestamp(6)" if of is ColumnType.TIMESTAMP else of.value


def _sql(value: object) -> str:
    return "NULL" if value is None else literal(value)  # type: ignore[arg-type]  # of one of the types above


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case datetime():
            return value.isoformat(" ", "microseconds")
        case date():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case _:
            return str(value)
