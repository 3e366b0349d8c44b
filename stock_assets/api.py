"""The public functions for notebooks and scripts: read what is published as pandas data frames.

Belongs here: arguments and results that suit a notebook. Does not belong here: how a query runs (`serve`), or anything
that writes.

Every function uses the settings of the environment, unless `settings` are passed.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

from stock_assets.core.errors import InvalidQuery
from stock_assets.core.sql import literal
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, Table
from stock_assets.pipeline import Pipeline
from stock_assets.serve.query import Relation
from stock_assets.serve.views import VIEWS, View
from stock_assets.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_RELATIONS: dict[str, Table | View] = {
    **{table.full_name: table for table in PUBLISHED_TABLES},
    **{view.full_name: view for view in VIEWS.values()},
}


def read(
    name: str,
    *,
    columns: Sequence[str] | None = None,
    symbols: str | Collection[str] | None = None,
    first: date | str | None = None,
    last: date | str | None = None,
    settings: Settings | None = None,
) -> "pd.DataFrame":
    """Read a published table or view, sorted by its key.

    Args:
        name: name of the table or view, with or without its schema: `daily_prices` or `published.daily_prices`.
        columns: columns to read; None means all.
        symbols: one symbol or several; None means all.
        first: first session to read, as a date or `YYYY-MM-DD`; None means no limit.
        last: last session to read, in the same form; None means no limit.
        settings: the settings; None means the settings of the environment.

    Raises:
        InvalidQuery: the name or a column does not exist; the message lists the existing names.
        QueryFailed: the SQL engine rejected the query.
    """
    relation = _relation(name)
    known = [column.name for column in relation.columns]
    filters = _filters(symbols, first, last)
    unknown = [column for column in (*(columns or ()), *filters) if column not in known]
    if unknown:
        raise InvalidQuery(
            f"{relation.full_name} has no column {', '.join(map(repr, unknown))}. Available: {', '.join(known)}"
        )
    select = f"SELECT {', '.join(columns or known)} FROM {relation.full_name}"  # noqa: S608 (declared names; values are escaped)
    if filters:
        select += " WHERE " + " AND ".join(condition for conditions in filters.values() for condition in conditions)
    # A view of a single row has no key.
    if relation.grain:
        select += f" ORDER BY {', '.join(relation.grain)}"
    return query(select, settings=settings)


def query(select: str, *, settings: Settings | None = None) -> "pd.DataFrame":
    """Run one SELECT over the published tables and views, written in the Athena dialect.

    Dates become pandas timestamps.

    Args:
        select: the query, such as `SELECT * FROM published.daily_prices LIMIT 5`.
        settings: the settings; None means the settings of the environment.

    Raises:
        InvalidQuery: the text is not a single SELECT.
        QueryFailed: the SQL engine rejected the query.
    """
    frame: pd.DataFrame = _pipeline(settings).query(select).to_pandas(date_as_object=False)
    return frame


def tables(*, settings: Settings | None = None) -> list[Relation]:
    """Return the published tables and views with their columns and row counts.

    Args:
        settings: the settings; None means the settings of the environment.
    """
    return _pipeline(settings).relations()


def _pipeline(settings: Settings | None) -> Pipeline:
    return Pipeline.from_settings(settings or Settings.from_env())


def _relation(name: str) -> Table | View:
    relation = _RELATIONS.get(name) or _RELATIONS.get(f"{DAILY_PRICES.schema}.{name}")
    if relation is None:
        raise InvalidQuery(f"Unknown table {name!r}. Available: {', '.join(_RELATIONS)}")
    return relation


def _filters(
    symbols: str | Collection[str] | None, first: date | str | None, last: date | str | None
) -> dict[str, list[str]]:
    """Return SQL conditions by the column that they need."""
    filters: dict[str, list[str]] = {}
    if symbols is not None:
        names = [symbols] if isinstance(symbols, str) else symbols
        filters["symbol"] = [f"symbol IN ({', '.join(map(literal, names))})" if names else "FALSE"]
    bounds = [(">=", first), ("<=", last)]
    if dates := [f"trade_date {sign} {literal(_day(bound))}" for sign, bound in bounds if bound is not None]:
        filters["trade_date"] = dates
    return filters


def _day(value: date | str) -> date:
    """Return a date; a pandas timestamp is a date too, with a time that is dropped."""
    return date.fromisoformat(value) if isinstance(value, str) else date(value.year, value.month, value.day)
