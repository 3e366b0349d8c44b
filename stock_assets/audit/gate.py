"""Audit a staged load as a whole, and reject a load that may not be published.

Belongs here: what checks and publishing both require of a load. Does not belong here: single audits (`audits`), how
Dagster shows a verdict (`orchestration.checks.audits`), the commit (`publish.publishing`).
"""

from collections.abc import Sequence

from stock_assets.audit.audits import Verdict, run_audits
from stock_assets.audit.rejections import record_rejection
from stock_assets.core.calendar import format_ranges
from stock_assets.core.errors import LoadRejected
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import Load


def audit_load(parts: PipelineParts, load: Load) -> list[Verdict]:
    """Return the verdicts on a staged load without publishing it; if one blocks, record the rejection."""
    with parts.backend.warehouse.connect(load.load_id) as sql:
        verdicts = run_audits(sql, inputs(parts, sql, load)).verdicts
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if blocking:
        record_rejection(parts, load, blocking)
    return verdicts


def reject_if_blocked(parts: PipelineParts, load: Load, verdicts: Sequence[Verdict]) -> None:
    """Record the rejection and raise LoadRejected if a verdict blocks the load."""
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if not blocking:
        return
    record_rejection(parts, load, blocking)
    reasons = "; ".join(
        f"{verdict.audit.name}: {verdict.summary}{_sessions(verdict)} (remedy: {verdict.audit.file.remedy})"
        for verdict in blocking
    )
    raise LoadRejected(
        f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} "
        f"was rejected and not published; the table has not changed. {reasons}"
    )


def _sessions(verdict: Verdict) -> str:
    """Return the sessions that block the load."""
    return f"; sessions with bad rows: {format_ranges(verdict.sessions)}" if verdict.sessions else ""
