"""The MERGE statement that publishes a load.

Belongs here: the text of the MERGE for any published table. Does not belong here: running it (`sql_session`).

One statement is always enough: Athena writes at most 100 partitions per statement, tables are partitioned by year, and
the calendar has 52 years.
"""

from datetime import date

from stock_assets.backends.lakehouse.inputs import cast_type
from stock_assets.core.sql import Fragment, Name, statement
from stock_assets.core.tables import Table

CHANGED_SINCE = "stock_assets: published since, version "
"""Start of the message of the MERGE when the current snapshot is not the audited one any more."""


def merge_statement(
    target: Table, source: Table | Fragment, *, name: Name, base: int | None, first: date, last: date
) -> str:
    """Bind sql/publish/merge.sql.

    Args:
        target: a published table.
        source: the staging table with its new rows, or a SELECT in parentheses.
        name: name of the target in the catalog.
        base: snapshot that must still be current; None if the table had no snapshot.
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
            "staged_rows": source if isinstance(source, Fragment) else Name(source.full_name),
            "published_rows": Name(target.full_name),
            "same_key_as_staged": Fragment(_equal("n", "p", key)),
            "same_key": Fragment(_equal("t", "s", key)),
            "first_date": first,
            "last_date": last,
            "base": base or 0,
            "changed": CHANGED_SINCE,
            "refs": Fragment(f'"{name.value.partition(".")[0]}"."{target.name}$refs"'),
            "differs": Fragment(" OR ".join(f"t.{column} IS DISTINCT FROM s.{column}" for column in others)),
            "assignments": Fragment(", ".join(f"{column} = s.{column}" for column in others)),
            "values": Fragment(", ".join(f"s.{column}" for column in columns)),
        }
    )


def _equal(one: str, other: str, key: tuple[str, ...]) -> str:
    return " AND ".join(f"{one}.{column} = {other}.{column}" for column in key)
