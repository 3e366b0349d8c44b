"""Judges a staged load as a whole, and refuses one that may not be published.

Belongs here: what both the checks and publishing ask of a load. Does not belong here: single audits (`audits`), how
Dagster shows a verdict (`checks`), the commit (`publish.publishing`).
"""

from collections.abc import Sequence

from stock_assets.audit.audits import Verdict, judge
from stock_assets.audit.rejections import record_rejection
from stock_assets.core.calendar import format_ranges
from stock_assets.core.errors import LoadRejected
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import Load


def audit_load(parts: PipelineParts, load: Load) -> list[Verdict]:
    """Judge a staged load without publishing it; that it may not be is noted."""
    with parts.backend.warehouse.open(load.load_id) as sql:
        verdicts = judge(sql, inputs(parts, sql, load)).verdicts
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if blocking:
        record_rejection(parts, load, blocking)
    return verdicts


def reject_if_blocked(parts: PipelineParts, load: Load, verdicts: Sequence[Verdict]) -> None:
    """Note the refusal and raise LoadRejected, if any verdict blocks the load."""
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if not blocking:
        return
    record_rejection(parts, load, blocking)
    reasons = "; ".join(
        f"{verdict.audit.name}: {verdict.bad_rows} bad rows, such as {_shown(verdict)}{_where(verdict)} "
        f"(remedy: {verdict.audit.file.remedy})"
        for verdict in blocking
    )
    raise LoadRejected(
        f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} "
        f"is not published, and the table is as it was. {reasons}"
    )


def _where(verdict: Verdict) -> str:
    """Name the sessions that hold back the others."""
    return f", in {format_ranges(verdict.sessions)}" if verdict.sessions else ""


def _shown(verdict: Verdict) -> str:
    row = verdict.sample[0]
    return " ".join(str(part) for part in (row.symbol, row.trade_date, row.detail) if part is not None)
