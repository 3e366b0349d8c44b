"""The public functions for notebooks and scripts: read what is published, as the data frames of common libraries.

Belongs here: arguments and results that suit a notebook. Does not belong here: how a query runs (`serve`), or anything
that writes.

Every function uses the settings of the environment, unless `settings` are passed.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack, assert_never, overload

from stock_assets.core.errors import InvalidQuery, MissingLibrary
from stock_assets.core.sql import literal
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, Table
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.reading import pipeline_to_read
from stock_assets.serve.as_of import AsOfInput
from stock_assets.serve.query import Relation
from stock_assets.serve.views import VIEWS, View
from stock_assets.settings import Settings

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Result = Literal["pandas", "polars", "arrow", "duckdb"]

_RELATIONS: dict[str, Table | View] = {
    **{table.full_name: table for table in PUBLISHED_TABLES},
    **{view.full_name: view for view in VIEWS.values()},
}


class _QueryOptions(TypedDict, total=False):
    as_of: AsOfInput | None
    settings: Settings | None


class _ReadOptions(_QueryOptions, total=False):
    columns: str | Sequence[str] | None
    symbols: str | Collection[str] | None
    start: date | str | None
    end: date | str | None


@overload
def read(name: str, *, result: Literal["pandas"] = "pandas", **options: Unpack[_ReadOptions]) -> "pd.DataFrame": ...
@overload
def read(name: str, *, result: Literal["polars"], **options: Unpack[_ReadOptions]) -> "pl.DataFrame": ...
@overload
def read(name: str, *, result: Literal["arrow"], **options: Unpack[_ReadOptions]) -> "pa.Table": ...
@overload
def read(name: str, *, result: Literal["duckdb"], **options: Unpack[_ReadOptions]) -> "duckdb.DuckDBPyRelation": ...
def read(  # noqa: PLR0913 (all but the name are optional and have a name)
    name: str,
    *,
    columns: str | Sequence[str] | None = None,
    symbols: str | Collection[str] | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    as_of: AsOfInput | None = None,
    result: Result = "pandas",
    settings: Settings | None = None,
) -> "pd.DataFrame | pl.DataFrame | pa.Table | duckdb.DuckDBPyRelation":
    """Read a published table or view, sorted by its key.

    Args:
        name: name of the table or view, with or without its schema: `daily_prices` or `published.daily_prices`.
        columns: one column or several; None means all.
        symbols: one symbol or several, in capital or small letters; None means all.
        start: first session to read, as a date or `YYYY-MM-DD`; None means no limit.
        end: last session to read, in the same form; None means no limit.
        as_of: read what was published at a timestamp (UTC, unless it has a zone), or at a snapshot id of
            `stock-assets history`; None means what is published now. A timestamp pins every table behind a view.
        result: `pandas`, `polars`, `arrow` (a pyarrow table) or `duckdb` (a relation of DuckDB's default connection).
        settings: the settings; None means the settings of the environment.

    Raises:
        InvalidQuery: the name, a column, a day or `as_of` is invalid; the message lists the existing names.
        NoData: the data folder does not exist, such as in another working directory.
        QueryFailed: the SQL engine rejected the query.
        UnknownSnapshot: the table has no such snapshot, or nothing was published at the timestamp.
        SnapshotExpired: maintenance has expired the snapshot.
        MissingLibrary: polars is not installed.
    """
    relation = _relation(name)
    known = [column.name for column in relation.columns]
    chosen = [columns] if isinstance(columns, str) else columns or known
    filters = _filters(symbols, start, end)
    unknown = [column for column in (*chosen, *filters) if column not in known]
    if unknown:
        raise InvalidQuery(
            f"{relation.full_name} has no column {', '.join(map(repr, unknown))}. Available: {', '.join(known)}"
        )
    select = f"SELECT {', '.join(chosen)} FROM {relation.full_name}"  # noqa: S608 (declared names; values are escaped)
    if filters:
        select += " WHERE " + " AND ".join(condition for conditions in filters.values() for condition in conditions)
    # A view of a single row has no key.
    if relation.grain:
        select += f" ORDER BY {', '.join(relation.grain)}"
    return _converted(_pipeline(settings).query(select, as_of=as_of), result)


@overload
def query(select: str, *, result: Literal["pandas"] = "pandas", **options: Unpack[_QueryOptions]) -> "pd.DataFrame": ...
@overload
def query(select: str, *, result: Literal["polars"], **options: Unpack[_QueryOptions]) -> "pl.DataFrame": ...
@overload
def query(select: str, *, result: Literal["arrow"], **options: Unpack[_QueryOptions]) -> "pa.Table": ...
@overload
def query(select: str, *, result: Literal["duckdb"], **options: Unpack[_QueryOptions]) -> "duckdb.DuckDBPyRelation": ...
def query(
    select: str, *, as_of: AsOfInput | None = None, result: Result = "pandas", settings: Settings | None = None
) -> "pd.DataFrame | pl.DataFrame | pa.Table | duckdb.DuckDBPyRelation":
    """Run one SELECT over the published tables and views, written in the Athena dialect.

    Args:
        select: the query, such as `SELECT * FROM published.daily_prices LIMIT 5`.
        as_of: as for `read`; a snapshot id needs a query that reads a single table.
        result: as for `read`.
        settings: the settings; None means the settings of the environment.

    Raises:
        InvalidQuery: the text is not a single SELECT, or `as_of` is invalid.
        NoData: the data folder does not exist, such as in another working directory.
        QueryFailed: the SQL engine rejected the query.
        UnknownSnapshot: the table has no such snapshot, or nothing was published at the timestamp.
        SnapshotExpired: maintenance has expired the snapshot.
        MissingLibrary: polars is not installed.
    """
    return _converted(_pipeline(settings).query(select, as_of=as_of), result)


def tables(*, settings: Settings | None = None) -> list[Relation]:
    """Return the published tables and views with their columns and row counts.

    Args:
        settings: the settings; None means the settings of the environment.
    """
    return _pipeline(settings).relations()


def _converted(rows: "pa.Table", result: Result) -> "pd.DataFrame | pl.DataFrame | pa.Table | duckdb.DuckDBPyRelation":
    """Convert the result of a query; a day stays a date: `datetime64` in pandas, else the library's type of dates."""
    match result:
        case "pandas":
            frame: pd.DataFrame = rows.to_pandas(date_as_object=False)
            return frame
        case "polars":
            try:
                import polars as pl  # noqa: PLC0415 (not a dependency)
            except ModuleNotFoundError as error:
                raise MissingLibrary("result='polars' needs polars: pip install polars") from error
            converted = pl.from_arrow(rows)
            return converted if isinstance(converted, pl.DataFrame) else converted.to_frame()
        case "arrow":
            return rows
        case "duckdb":
            import duckdb  # noqa: PLC0415 (only this result needs it; on AWS nothing else imports it)

            return duckdb.from_arrow(rows)
        case _:
            assert_never(result)


def _pipeline(settings: Settings | None) -> Pipeline:
    return pipeline_to_read(settings or Settings.from_env())


def _relation(name: str) -> Table | View:
    relation = _RELATIONS.get(name) or _RELATIONS.get(f"{DAILY_PRICES.schema}.{name}")
    if relation is None:
        raise InvalidQuery(f"Unknown table {name!r}. Available: {', '.join(_RELATIONS)}")
    return relation


def _filters(
    symbols: str | Collection[str] | None, start: date | str | None, end: date | str | None
) -> dict[str, list[str]]:
    """Return SQL conditions by the column that they need."""
    filters: dict[str, list[str]] = {}
    if symbols is not None:
        names = [name.strip().upper() for name in ([symbols] if isinstance(symbols, str) else symbols)]
        filters["symbol"] = [f"symbol IN ({', '.join(map(literal, names))})" if names else "FALSE"]
    bounds = [("start", ">=", start), ("end", "<=", end)]
    if dates := [f"trade_date {sign} {literal(_day(name, day))}" for name, sign, day in bounds if day is not None]:
        filters["trade_date"] = dates
    return filters


def _day(name: str, value: date | str) -> date:
    """Return a date; a pandas timestamp is a date too, with a time that is dropped."""
    if not isinstance(value, str):
        return date(value.year, value.month, value.day)
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise InvalidQuery(f"{name} is {value!r}, which is no day. Write it in the form 2013-03-01.") from error
