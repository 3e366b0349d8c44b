"""Convert result rows of Athena and Trino to Arrow tables.

Belongs here: the Arrow type of each SQL type. Does not belong here: fetching rows (`athena.engine`, `trino.engine`).
"""

from collections.abc import Sequence

import pyarrow as pa

_TYPES: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


def to_arrow(description: Sequence[Sequence[object]], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Convert a cursor's description and rows, whose values are Python objects, to an Arrow table."""
    names = [str(column[0]) for column in description]
    types = [_arrow_type(column) for column in description]
    columns = [pa.array([_value(row[number], of) for row in rows], type=of) for number, of in enumerate(types)]
    return pa.Table.from_arrays(columns, schema=pa.schema(list(zip(names, types, strict=True))))


def _arrow_type(column: Sequence[object]) -> pa.DataType:
    """Return the Arrow type of a column; an unknown type becomes text."""
    if column[1] == "decimal":
        return pa.decimal128(int(str(column[4])), int(str(column[5])))
    return _TYPES.get(str(column[1]), pa.string())


def _value(value: object, of: pa.DataType) -> object:
    return str(value) if value is not None and pa.types.is_string(of) else value
