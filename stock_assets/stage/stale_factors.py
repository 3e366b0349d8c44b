"""Find the published rows whose split factor is outdated, because splits have changed since the rows were published.

Belongs here: which published rows are compared with the known splits. Does not belong here: the
records of split factors (`loads.split_factors`), what a load does with the range (`staging`).
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pyarrow as pa

from stock_assets.backends.interface import Backend, Snapshot, SqlConnection
from stock_assets.core.sql import Fragment, Name, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.loads.load import SPLITS_PROPERTY
from stock_assets.loads.split_factors import Days, SplitFactors, recorded_factors

_NONE = (None, None)
_EARLIEST, _LATEST = date.min + timedelta(days=1), date.max - timedelta(days=1)
"""pyiceberg computes the day before and the day after a bound; no row is of these days."""


def factors_followed(backend: Backend, snapshot_id: int | None) -> str | None:
    """Return the digest of the factors that all rows of a snapshot of published.daily_prices follow, if it has one."""
    return _recorded_digest(backend.warehouse.history(DAILY_PRICES), snapshot_id) if snapshot_id is not None else None


def stale_range(
    backend: Backend, sql: SqlConnection, splits: Name, followed: str | None, known: SplitFactors
) -> tuple[date | None, date | None]:
    """Return the first and last session of the published rows whose split factor is outdated; None if no row is.

    Only the rows of the symbols that have another factor now are compared, from the first to the last day on which one
    of them has; none if there are no such days. If the factors that the rows follow are not recorded, all rows are
    compared.

    Args:
        backend: the backend.
        sql: a connection to the published tables.
        splits: the relation of the known splits.
        followed: digest of the factors that the published rows follow.
        known: the factors of the known splits.
    """
    if followed == known.digest or sql.base(DAILY_PRICES) is None:
        return _NONE
    earlier = recorded_factors(backend, followed) if followed else None
    rows = _rows_that_differ(sql, earlier.days_that_differ(known)) if earlier is not None else sql.name(DAILY_PRICES)
    if rows is None:
        return _NONE
    values: dict[str, SqlValue] = {"splits": splits, "published_prices": rows}
    stale = sql.query(statement("stage/stale_splits.sql").bind(values)).to_pylist()[0]
    return stale["first_stale"], stale["last_stale"]


def _rows_that_differ(sql: SqlConnection, changed: Mapping[str, Days]) -> Fragment | None:
    """Return the relation of the published rows of changed symbols on any of the days; None if there are none."""
    if not changed:
        return None
    first = max(_EARLIEST, min(days[0] for days in changed.values()))
    last = min(_LATEST, max(days[1] for days in changed.values()))
    if not sql.may_have_rows(DAILY_PRICES, first, last):
        return None
    symbols = pa.table({"symbol": pa.array(list(changed), pa.string())})
    values: dict[str, SqlValue] = {
        "published_prices": sql.name(DAILY_PRICES),
        "changed_symbols": sql.register("changed_symbols", symbols),
        "first_day": first,
        "last_day": last,
    }
    return Fragment(f"({statement('stage/rows_of_changed_splits.sql').bind(values)})")


def _recorded_digest(history: Sequence[Snapshot], snapshot_id: int) -> str | None:
    """Return the digest that a snapshot follows.

    A snapshot of maintenance records no splits and changes no rows: it follows those of its parent. That need not be
    the snapshot before it in the history: the table may have been rolled back, or the parent has expired.
    """
    known: dict[int | None, Snapshot] = {snapshot.snapshot_id: snapshot for snapshot in history}
    found = known.get(snapshot_id)
    while found is not None and found.is_maintenance:
        found = known.get(found.parent_id)
    return found.properties.get(SPLITS_PROPERTY) if found is not None else None
