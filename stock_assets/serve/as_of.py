"""Which snapshots a query reads: what users may write, and the tables behind the names in a query.

Belongs here: timestamps and snapshot ids in the forms that people use. Does not belong here: finding the snapshot of a
timestamp (`backends.pinning`), running the query (`query`).
"""

from collections.abc import Collection
from datetime import UTC, date, datetime

from stock_assets.backends.interface import AsOf, Backend, SqlConnection
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import InvalidQuery, UnknownSnapshot
from stock_assets.core.tables import PUBLISHED_TABLES, Table
from stock_assets.serve.views import VIEWS, View, with_dependencies

AsOfInput = datetime | date | int | str
"""A timestamp, a day (its begin), a snapshot id, or one of them as text; a timestamp without a zone is in UTC."""


def parse_as_of(value: AsOfInput) -> datetime | int:
    """Return a timestamp in UTC, or a snapshot id.

    Raises:
        InvalidQuery: the text is neither, or the timestamp is in the future.
    """
    if isinstance(value, str):
        text = value.strip()
        if text.isdigit() and len(text) > len("20130301"):
            return int(text)
        try:
            value = datetime.fromisoformat(text.removesuffix(" UTC"))
        except ValueError as error:
            raise InvalidQuery(
                f"as_of is {text!r}, which is no timestamp and no snapshot id. Write a timestamp in UTC such as "
                "2026-11-25T21:00:00, or a snapshot id of stock-assets history."
            ) from error
    if isinstance(value, int):
        return value
    timestamp = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    timestamp = timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
    if timestamp > utc_now():
        raise InvalidQuery(
            f"as_of is {timestamp:%Y-%m-%d %H:%M:%S} UTC, which is in the future: loads can still change the tables. "
            "Use an earlier timestamp, or leave as_of out."
        )
    return timestamp


def snapshots_to_read(as_of: AsOfInput | None, named: Collection[str]) -> AsOf | None:
    """Return the snapshots to read for a query.

    Args:
        as_of: what the user wrote.
        named: names of the published tables and views in the query, without schema.

    Raises:
        InvalidQuery: a snapshot id, although the query reads another number of tables than one.
    """
    if as_of is None:
        return None
    parsed = parse_as_of(as_of)
    if isinstance(parsed, datetime):
        return parsed
    tables = tables_behind(named)
    if len(tables) != 1:
        found = " and ".join(table.full_name for table in tables) or "no table"
        raise InvalidQuery(
            f"as_of is the snapshot id {parsed}, but the query reads {found}. Use a timestamp: it pins every table."
        )
    return {tables[0].full_name: parsed}


def tables_behind(named: Collection[str]) -> list[Table]:
    """Return the published tables that tables and views of these names read."""
    read = {dependency for view in with_dependencies(VIEWS.keys() & set(named)) for dependency in view.dependencies}
    names = {*named, *(table.name for table in read if not isinstance(table, View))}
    return [table for table in PUBLISHED_TABLES if table.name in names]


def require_published(backend: Backend, sql: SqlConnection, as_of: AsOf | None) -> None:
    """Check that something was published at a timestamp, unless nothing is published yet.

    Raises:
        UnknownSnapshot: the first snapshot of every table is later; the message names the first one.
    """
    if not isinstance(as_of, datetime) or any(sql.base(table) is not None for table in PUBLISHED_TABLES):
        return
    commits = [snapshot.committed_at for table in PUBLISHED_TABLES for snapshot in backend.warehouse.history(table)]
    if commits:
        raise UnknownSnapshot(
            f"Nothing was published at {as_of:%Y-%m-%d %H:%M:%S} UTC: the first snapshot is of "
            f"{min(commits):%Y-%m-%d %H:%M:%S} UTC. Use a later timestamp: as_of is the time of a publish, not a trade "
            "date."
        )
