"""The inputs and parameters that the statements under `sql/stage` and `sql/audit` may name, for one load.

Belongs here: the vocabulary of `${name}` marks, in one place for staging, audits and the gate. Does not belong here:
running a statement.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

import pyarrow as pa

from stock_assets.backends.interface import Backend, Fetch, FetchKind, SqlConnection
from stock_assets.core.audit_limits import UNEXPLAINED_JUMP
from stock_assets.core.calendar import (
    CALENDAR_START,
    closed_day_table,
    next_session,
    previous_session,
    session_table,
    sessions_between,
)
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import DamagedResponses, StagingOutdated
from stock_assets.core.sql import Name, SqlValue
from stock_assets.core.tables import (
    DAILY_PRICES,
    QUARANTINED_PRICES,
    STAGED_PRICES,
    STAGED_QUARANTINE,
    STAGING_TABLES,
    TYPED_PRICES,
    declared_columns,
)
from stock_assets.core.text import shorten_list
from stock_assets.core.universe import Universe
from stock_assets.ingest.ledger_queries import fetches_for_responses, known_splits, listings
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.purges import from_before_a_purge, without_history
from stock_assets.ingest.splits import rounded_split_table, split_table
from stock_assets.loads.acknowledgements import acknowledgement_table
from stock_assets.loads.damaged_responses import describe_damage
from stock_assets.loads.load import Load

LOOKBACK_DAYS = 21
"""Calendar days that a metric may look back. Seven sessions never took more than 18 (September 2001)."""
_SHOWN = 5


class SplitTables(NamedTuple):
    """The known splits as relations: `splits` and `rounded_splits` (`ingest.splits`)."""

    factors: pa.Table
    rounded: pa.Table


def split_tables(parts: PipelineParts) -> SplitTables:
    """Build the relations of the known splits."""
    known = known_splits(parts)
    return SplitTables(split_table(known, parts.universe), rounded_split_table(known))


def inputs(
    parts: PipelineParts, sql: SqlConnection, load: Load, splits: SplitTables | None = None
) -> dict[str, SqlValue]:
    """Return the values of all marks that the statements under `sql/stage` and `sql/audit` may name, for one load.

    Args:
        parts: the pipeline.
        sql: a session of the load.
        load: the load.
        splits: the relations of the known splits; by default they are built.

    Raises:
        DamagedResponses: stored responses of the load are damaged; the message says what to do.
        StagingOutdated: the load has bars of a symbol that was purged since.
    """
    backend = parts.backend
    splits = split_tables(parts) if splits is None else splits
    responses = fetches_for_responses(backend, load.response_keys)
    purged = _purged_symbols(backend, load, responses)
    listed = listings(parts)
    lookback_date = load.first_date - timedelta(days=LOOKBACK_DAYS)
    symbols = {*listed["symbol"].to_pylist(), *(fetch.symbol for fetch in responses)}
    sql.divide(symbols, len(sessions_between(lookback_date, load.last_date)))
    return {
        "raw_prices": _register_responses(sql, parts, load, responses),
        "responses": sql.register("responses", _response_table(backend, responses)),
        "sessions": sql.register("sessions", session_table(sessions_between(load.first_date, load.last_date))),
        "splits": sql.register("splits", splits.factors),
        "rounded_splits": sql.register("rounded_splits", splits.rounded),
        "purged_symbols": sql.register("purged_symbols", pa.table({"symbol": pa.array(purged, pa.string())})),
        "symbol_numbers": sql.register("symbol_numbers", _symbol_numbers(symbols)),
        "acknowledgements": sql.register("acknowledgements", acknowledgement_table(backend.objects)),
        "closed_days": sql.register("closed_days", closed_day_table(load.first_day, load.last_day)),
        "listings": sql.register("listings", listed),
        "expected_listings": _expected_listings(sql, listed, parts, load),
        "excluded_sessions": sql.register(
            "excluded_sessions", pa.table({"session": pa.array(load.excluded, pa.date32())})
        ),
        "declared_columns": sql.register(
            "declared_columns",
            declared_columns((sql.name(table).value.rpartition(".")[2], table) for table in STAGING_TABLES),
        ),
        "actual_columns": sql.actual_columns(),
        "lookback_date": lookback_date,
        **_tables(sql),
        **_parameters(parts, load),
    }


def _tables(sql: SqlConnection) -> dict[str, SqlValue]:
    return {
        "typed_prices": sql.name(TYPED_PRICES),
        "quarantined_prices": sql.name(STAGED_QUARANTINE),
        "staged_prices": sql.name(STAGED_PRICES),
        "published_prices": sql.name(DAILY_PRICES),
        "published_quarantine": sql.name(QUARANTINED_PRICES),
        "bars": sql.name(TYPED_PRICES),
    }


def _parameters(parts: PipelineParts, load: Load) -> dict[str, SqlValue]:
    return {
        "load_id": load.load_id,
        "start_date": load.start_date,
        "end_date": load.end_date,
        "first_day": load.first_day,
        "last_day": load.last_day,
        "session_before": previous_session(load.start_date),
        "session_after": next_session(load.end_date),
        "calendar_start": CALENDAR_START,
        "first_date": load.first_date,
        "last_date": load.last_date,
        "available_from": load.available_from,
        "lookback_days": LOOKBACK_DAYS,
        "min_coverage": parts.limits.min_coverage,
        # The symbols of a file are a choice of its author, often few: their share says nothing about a feed.
        "max_quarantined_share": 1.0 if load.coverage_symbols is not None else parts.limits.max_quarantined_share,
        "max_jump": UNEXPLAINED_JUMP,
    }


def symbol_numbers(parts: PipelineParts) -> pa.Table:
    """Build the relation `symbol_numbers` of all symbols that any table can have."""
    with parts.backend.ledger.read() as ledger:
        return _symbol_numbers({*parts.universe.symbols, *ledger.symbols(FetchKind.PRICES)})


def _symbol_numbers(symbols: Iterable[str]) -> pa.Table:
    """Build the relation of symbols and numbers, by which digests of rows depend on the symbol; they never change."""
    ordered = sorted(symbols)
    numbers = [int(content_hash(symbol.encode())[:7], 16) for symbol in ordered]
    return pa.table({"symbol": pa.array(ordered, pa.string()), "number": pa.array(numbers, pa.int64())})


def _purged_symbols(backend: Backend, load: Load, responses: Sequence[Fetch]) -> list[str]:
    """Return the purged symbols without responses, after a check that no response of the load is from before a purge.

    Raises:
        StagingOutdated: a response of the load is.
    """
    with backend.ledger.read() as ledger:
        if outdated := from_before_a_purge(ledger, responses):
            raise StagingOutdated(
                f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} has bars "
                f"of {shorten_list(outdated, _SHOWN)}, whose history was purged since. Stage and publish the sessions "
                "again."
            )
        return without_history(ledger)


def _register_responses(sql: SqlConnection, parts: PipelineParts, load: Load, responses: Sequence[Fetch]) -> Name:
    try:
        # The sessions around the load decide about the closed days between.
        return sql.register_responses(
            responses, first=previous_session(load.start_date), last=next_session(load.end_date)
        )
    except DamagedResponses as error:
        raise describe_damage(error, load, responses, parts.universe.symbols) from None


def _expected_listings(sql: SqlConnection, listed: pa.Table, parts: PipelineParts, load: Load) -> Name:
    """Return the relation of the listings that count for coverage: of the universe, or only of an import."""
    universe = parts.universe
    if load.coverage_symbols is not None:
        counted = set(load.coverage_symbols)
        universe = Universe(tuple(row for row in universe.listings if row.symbol in counted))
    expected = universe.table()
    return sql.register("listings" if expected.equals(listed) else "expected_listings", expected)


def _response_table(backend: Backend, responses: Sequence[Fetch]) -> pa.Table:
    """Build the relation `responses`; a response has a higher number than the ones that it replaces."""
    oldest_first = sorted(responses, key=lambda fetch: (fetch.fetched_at, fetch.response_key))
    numbers = {fetch.response_key: number for number, fetch in enumerate(oldest_first)}
    return pa.table(
        {
            "number": pa.array([numbers[fetch.response_key] for fetch in responses], pa.int64()),
            "path": pa.array([backend.objects.uri(fetch.response_key) for fetch in responses], pa.string()),
            "response_key": pa.array([fetch.response_key for fetch in responses], pa.string()),
            "symbol": pa.array([fetch.symbol for fetch in responses], pa.string()),
            "fetched_at": pa.array([fetch.fetched_at.replace(tzinfo=None) for fetch in responses], pa.timestamp("us")),
            # A row of a later day cannot be a bar; the audit every_raw_row_has_a_day reports it.
            "requested_on": pa.array([fetch.last_day for fetch in responses], pa.date32()),
        }
    )
