"""Audit a staged load as a whole, and reject a load that may not be published.

Belongs here: what checks and publishing both require of a load. Does not belong here: single audits (`audits`), how
Dagster shows a verdict (`orchestration.checks.audits`), the commit (`publish.publishing`).
"""

from collections.abc import Sequence

from stock_assets.audit.audits import block_if_all_excluded, excluded_sessions
from stock_assets.audit.record import audit_and_record
from stock_assets.core.calendar import format_ranges
from stock_assets.core.errors import LoadRejected, StagingOutdated
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.audit_files import AuditKind
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import Load
from stock_assets.loads.rejections import record_rejection
from stock_assets.loads.verdict import Verdict


def audit_load(parts: PipelineParts, load: Load) -> list[Verdict]:
    """Audit a staged load without publishing it; record the verdicts, a rejection and excluded sessions."""
    with parts.backend.warehouse.connect(load.load_id) as sql:
        verdicts = audit_and_record(parts.backend.objects, sql, load, inputs(parts, sql, load))
    return _judge(parts, load, verdicts)


def reject_if_blocked(parts: PipelineParts, load: Load, verdicts: Sequence[Verdict]) -> None:
    """Decide at the gate whether a load may be committed; record a rejection and excluded sessions.

    Raises:
        LoadRejected: a verdict blocks the load, or session audits exclude every requested session.
        StagingOutdated: session audits exclude other sessions than when the load was staged: limits, universe or
            staging tables have changed since.
    """
    blocking = [verdict for verdict in _judge(parts, load, verdicts) if verdict.blocks]
    if blocking:
        raise LoadRejected(_rejection_text(load, blocking))
    if excluded_sessions(verdicts) != load.excluded:
        raise StagingOutdated(
            f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} excluded "
            f"{format_ranges(load.excluded) or 'no session'} when it was staged, and by today's limits and universe it "
            f"excludes {format_ranges(excluded_sessions(verdicts)) or 'none'}. Stage and publish the sessions again."
        )


def _judge(parts: PipelineParts, load: Load, found: Sequence[Verdict]) -> list[Verdict]:
    """Return the final verdicts on a load; record the sessions that it does not publish."""
    verdicts = block_if_all_excluded(found, load.sessions)
    if any(verdict.blocks or verdict.excludes for verdict in verdicts):
        record_rejection(parts, load, verdicts)
    return verdicts


def _rejection_text(load: Load, blocking: Sequence[Verdict]) -> str:
    reasons = "; ".join(
        f"{verdict.audit.name}: {verdict.summary}{_sessions(verdict)} (remedy: {verdict.audit.file.remedy})"
        for verdict in blocking
    )
    every = all(verdict.audit.kind is AuditKind.SESSION for verdict in blocking)
    return (
        f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} "
        f"was rejected and not published; the table has not changed. "
        f"{'Every requested session is excluded. ' if every else ''}{reasons}"
    )


def _sessions(verdict: Verdict) -> str:
    """Return the sessions that block the load."""
    return f"; sessions with bad rows: {format_ranges(verdict.sessions)}" if verdict.sessions else ""
