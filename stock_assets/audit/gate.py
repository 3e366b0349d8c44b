"""Judges a staged load as a whole, and refuses one that may not be published.

Belongs here: what both the checks and publishing ask of a load. Does not belong here: single audits (`audits`), how
Dagster shows a verdict (`checks`), the commit (`publish.publishing`).
"""

from collections.abc import Sequence

from stock_assets.audit.audits import Verdict, judge
from stock_assets.audit.refusals import remember_refusal, rules_in_force
from stock_assets.errors import AuditRefused
from stock_assets.homes.interfaces import Home
from stock_assets.sessions import ranges_said
from stock_assets.stage.inputs import Limits, inputs
from stock_assets.stage.load import Load
from stock_assets.universe import Universe


def audit_load(home: Home, universe: Universe, load: Load, *, limits: Limits) -> list[Verdict]:
    """Judge a staged load without publishing it; that it may not be is noted."""
    with home.warehouse.open(load.load_id) as sql:
        verdicts = judge(sql, inputs(home, sql, universe, load, limits=limits)).verdicts
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if blocking:
        remember_refusal(home, load, blocking, judged_by=rules_in_force(universe, limits))
    return verdicts


def refuse_if_blocked(
    home: Home, universe: Universe, load: Load, verdicts: Sequence[Verdict], *, limits: Limits
) -> None:
    """Note the refusal and raise AuditRefused, if any verdict blocks the load."""
    blocking = [verdict for verdict in verdicts if verdict.blocks]
    if not blocking:
        return
    remember_refusal(home, load, blocking, judged_by=rules_in_force(universe, limits))
    reasons = "; ".join(
        f"{verdict.audit.name}: {verdict.bad_rows} bad rows, such as {_shown(verdict)}{_where(verdict)} "
        f"(remedy: {verdict.audit.file.remedy})"
        for verdict in blocking
    )
    raise AuditRefused(
        f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} "
        f"is not published, and the table is as it was. {reasons}"
    )


def _where(verdict: Verdict) -> str:
    """Name the sessions that hold back the others."""
    return f", in {ranges_said(verdict.sessions)}" if verdict.sessions else ""


def _shown(verdict: Verdict) -> str:
    row = verdict.sample[0]
    return " ".join(str(part) for part in (row.symbol, row.trade_date, row.detail) if part is not None)
