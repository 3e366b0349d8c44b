"""The MERGE that publishes a load, or one part after the other of a load that is too long for one.

Belongs here: writing it for any table. Does not belong here: sending it (`session`).
"""

from collections.abc import Mapping
from datetime import date, timedelta

from stock_assets.backends.lakehouse.inputs import cast_type
from stock_assets.core.sql import Fragment, Name, statement
from stock_assets.core.tables import Table

CHANGED = "stock_assets: published since, version "
"""Begins what Athena says when the table is not the one that was audited any more."""
MOST_PARTITIONS = 100
"""Partitions that one statement of Athena may write: years, by sql/ddl/athena/published_table.sql."""
_OF_EACH_PART = frozenset({"load_id", "start_date", "end_date"})


def merge_statement(target: Table, source: Table, *, name: Name, base: int | None, first: date, last: date) -> str:
    """Bind sql/publish/merge.sql.

    Args:
        target: a published table.
        source: the staging table with its new rows.
        name: name of the target in the catalog.
        base: snapshot that has to be the current one still; None for none at all.
        first: first day of the range.
        last: last day of the range.
    """
    columns, key = target.column_names, target.grain
    others = [column for column in columns if column not in key]
    dropped = [
        f"p.{column.name}" if column.name in key else f"CAST(NULL AS {cast_type(column.type)})"
        for column in target.columns
    ]
    return statement("publish/merge.sql").bind(
        {
            "target": name,
            "columns": Fragment(", ".join(columns)),
            "published_columns": Fragment(", ".join(dropped)),
            "staged_rows": Name(source.full_name),
            "published_rows": Name(target.full_name),
            "same_key_as_staged": Fragment(_equal("n", "p", key)),
            "same_key": Fragment(_equal("t", "s", key)),
            "first_date": first,
            "last_date": last,
            "base": base or 0,
            "changed": CHANGED,
            "refs": Fragment(f'"{name.value.partition(".")[0]}"."{target.name}$refs"'),
            "differs": Fragment(" OR ".join(f"t.{column} IS DISTINCT FROM s.{column}" for column in others)),
            "assignments": Fragment(", ".join(f"{column} = s.{column}" for column in others)),
            "values": Fragment(", ".join(f"s.{column}" for column in columns)),
        }
    )


def parts(first: date, last: date) -> list[tuple[date, date]]:
    """Split a range, at the ends of years, into ranges of no more partitions than one statement may write."""
    starts = [
        first,
        *(date(year, 1, 1) for year in range(first.year + MOST_PARTITIONS, last.year + 1, MOST_PARTITIONS)),
    ]
    ends = [*(start - timedelta(days=1) for start in starts[1:]), last]
    return list(zip(starts, ends, strict=True))


def part_properties(properties: Mapping[str, str], number: int, count: int) -> dict[str, str]:
    """Say of which part of a load a version is.

    Only the last part says all that the load does: that what is published follows the splits, say, is not true before.
    """
    if count == 1:
        return dict(properties)
    said = properties if number == count else {name: properties[name] for name in _OF_EACH_PART & properties.keys()}
    return {**said, "part": f"{number} of {count}"}


def _equal(one: str, other: str, key: tuple[str, ...]) -> str:
    return " AND ".join(f"{one}.{column} = {other}.{column}" for column in key)
