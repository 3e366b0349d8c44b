"""Stage a load: choose the raw responses, bind the SQL under `sql/stage`, write the three staging tables.

Belongs here: the order of the statements and the range that a load replaces. Does not belong here: how a column is
computed (the SQL), what makes a bar bad (`sql/audit/row`).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, SqlConnection
from stock_assets.core.calendar import next_session, previous_session, sessions_between
from stock_assets.core.errors import NothingStaged, QueryFailed
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES
from stock_assets.ingest.ledger_queries import responses_for
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.audit_files import AuditKind, audits, bound_audits
from stock_assets.loads.broken_audits import raise_for_broken_audit
from stock_assets.loads.inputs import LOOKBACK_DAYS, inputs, split_tables
from stock_assets.loads.load import Load, next_load_id, record_load, record_staging
from stock_assets.loads.load_report import compute_report, session_failures, store_report
from stock_assets.loads.split_factors import record_factors, split_factors
from stock_assets.stage.stale_factors import factors_followed, stale_range


def stage(parts: PipelineParts, sessions: Sequence[date], *, coverage_symbols: Collection[str] | None = None) -> Load:
    """Write the staging tables of a load of these sessions, and record the load.

    Sessions in which a session audit finds a bad row are excluded: the load has what is published of them.

    Args:
        parts: the pipeline.
        sessions: the requested sessions; the load has every session from the first to the last one.
        coverage_symbols: symbols that count for the coverage of a session, such as the symbols of an import; None for
            every listed symbol. The load records them, so that the gate uses the same ones.

    Raises:
        NothingStaged: no stored response has a bar of any of the sessions.
        QueryFailed: the SQL engine does not accept a statement; if an audit is the reason, the message names its file.
    """
    backend = parts.backend
    staged_at = datetime.now(UTC)
    start, end = min(sessions), max(sessions)
    responses = _responses(backend, start, end)
    available = parts.source.available_history(staged_at)
    load_id = next_load_id(backend, start, end, staged_at)
    with backend.warehouse.connect(load_id) as sql:
        splits = split_tables(parts)
        factors = split_factors(splits.factors)
        followed = factors_followed(backend, sql.base(DAILY_PRICES))
        stale = stale_range(backend, sql, sql.register("splits", splits.factors), followed, factors)
        first, last = _range_to_replace(start, end, stale)
        load = Load(
            load_id=load_id,
            start_date=start,
            end_date=end,
            first_date=first,
            last_date=last,
            available_from=available.first if available else date.min,
            base_snapshot=sql.base(DAILY_PRICES),
            rows=0,
            quarantined=0,
            response_keys=tuple(fetch.response_key for fetch in responses),
            staged_at=staged_at,
            splits=factors.digest,
            coverage_symbols=None if coverage_symbols is None else tuple(sorted(coverage_symbols)),
        )
        load = replace(load, first_date=min(first, load.first_day))
        values = inputs(parts, sql, load, splits)
        quarantined = _stage_bars(sql, values)
        # Coverage and quarantined shares compare symbols, so the sessions are known after all chunks are typed.
        values |= _excluded_sessions(sql, values)
        rows = _stage_prices(sql, values)
        report = compute_report(sql, values)
        staging = sql.digests().staging
    load = replace(load, rows=rows, quarantined=quarantined, excluded=report.excluded_sessions)
    store_report(backend, load, report)
    if factors.digest != followed:
        record_factors(backend, factors)
    record_staging(backend, load, staging)
    record_load(backend, load)
    return load


def _responses(backend: Backend, start: date, end: date) -> list[Fetch]:
    """Return the responses with the newest bars of a range.

    Closed days before and after the range belong to the load, and so do the responses for the sessions beyond them.

    Raises:
        NothingStaged: no response has a bar of the range.
    """
    # Every session between the two, not only the requested ones: the range is replaced as a whole.
    sessions = sessions_between(start, end)
    around = [previous_session(start), next_session(end)]
    beyond = [day for day in around if (start - day).days > 1 or (day - end).days > 1]
    found = responses_for(backend, [*sessions, *beyond])
    if any(fetch.holds(session) for fetch in found for session in sessions):
        return found
    raise NothingStaged(
        f"staged/daily_prices: no stored response has a bar of a session from {start} to {end}. "
        "Materialize raw/daily_prices for these sessions first."
    )


def _excluded_sessions(sql: SqlConnection, values: dict[str, SqlValue]) -> dict[str, SqlValue]:
    """Return the findings of the session audits in the bars that are staged so far, and the sessions they exclude."""
    try:
        failures = sql.materialize("session_failures", session_failures(values).text)
    except QueryFailed as error:
        raise_for_broken_audit(sql, bound_audits(values, AuditKind.SESSION), error)
        raise
    sessions = statement("stage/excluded_sessions.sql").bind({"session_failures": failures})
    excluded = sql.materialize("excluded", sessions)
    return {"session_failures": failures, "excluded_sessions": Fragment(f"({excluded.text})")}


def _stage_prices(sql: SqlConnection, values: dict[str, SqlValue]) -> int:
    """Write the staging table of the prices; return its number of rows."""
    select = statement("stage/daily_prices.sql").bind(values)
    try:
        return sum(sql.each_chunk(lambda: sql.stage(STAGED_PRICES, select)))
    except QueryFailed as error:
        raise_for_broken_audit(sql, bound_audits(values, AuditKind.SESSION), error)
        raise


def _stage_bars(sql: SqlConnection, values: dict[str, SqlValue]) -> int:
    """Write the staging tables of the typed bars and of those that are quarantined; return the number of the latter."""
    typed = statement("stage/typed_prices.sql").bind(values)
    if any(audit.compares_symbols for audit in audits() if audit.kind is AuditKind.ROW):
        sql.each_chunk(lambda: sql.stage(TYPED_PRICES, typed))
        return _quarantine(sql, values)

    def stage_chunk() -> int:
        sql.stage(TYPED_PRICES, typed)
        return _quarantine(sql, values)

    return sum(sql.each_chunk(stage_chunk))


def _quarantine(sql: SqlConnection, values: dict[str, SqlValue]) -> int:
    """Write the staging table of the bars that fail a row audit; return its number of rows."""
    row_audits = bound_audits(values, AuditKind.ROW)
    row_failures = Fragment("\nUNION ALL\n".join(select for _, select in row_audits))
    try:
        return sql.stage(
            STAGED_QUARANTINE,
            statement("stage/quarantined_prices.sql").bind(values | {"row_failures": row_failures}),
        )
    except QueryFailed as error:
        raise_for_broken_audit(sql, row_audits, error)
        raise


def _range_to_replace(start: date, end: date, stale: tuple[date | None, date | None]) -> tuple[date, date]:
    """Widen the requested range by the sessions that look back into it, and by rows with an outdated split factor."""
    first, last = stale
    return min(start, first or start), max(end, last or end) + timedelta(days=LOOKBACK_DAYS)
