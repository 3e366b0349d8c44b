"""Every audit as an asset check on `staged/daily_prices`.

Belongs here: showing a verdict. Does not belong here: computing it (`audit`), or acting on it when publishing
(`publish.publishing`, which accepts the record of this audit).
"""

from collections.abc import Iterator

import dagster as dg

from stock_assets.core.calendar import format_ranges
from stock_assets.core.tables import STAGED_PRICES
from stock_assets.loads.audit_files import Audit, AuditKind, audits
from stock_assets.loads.load import Load
from stock_assets.loads.verdict import Verdict
from stock_assets.orchestration.checks.run_load import load_of_run
from stock_assets.orchestration.keys import Names
from stock_assets.pipeline import Pipeline

_CONSEQUENCES = {
    AuditKind.SCHEMA: "A bad row rejects the whole load: none of its rows is published.",
    AuditKind.ROW: "A bad bar is quarantined; the other bars are published.",
    AuditKind.SESSION: "A session with a bad row is excluded; the other sessions are published.",
    AuditKind.LOAD: "A bad row rejects the whole load: none of its rows is published.",
    AuditKind.WARNING: "A bad row is reported and blocks nothing.",
}

_SAMPLE_SCHEMA = dg.TableSchema(
    columns=[
        dg.TableColumn("symbol", "string"),
        dg.TableColumn("trade_date", "string"),
        dg.TableColumn("detail", "string"),
    ]
)


def audit_checks(names: Names) -> dg.AssetChecksDefinition:
    """Return one step that runs all audits, with one check per audit."""

    @dg.multi_asset_check(
        name=names.name("audits"),
        specs=[_spec(audit, names) for audit in audits()],
        can_subset=True,
        description="Runs the audits under sql/audit on the staged load.",
    )
    @names.uses_pipeline
    def audits_of_load(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        load = load_of_run(pipeline.backend, context.run.tags)
        selected = {key.name for key in context.selected_asset_check_keys}
        for verdict in pipeline.audit(load):
            if verdict.audit.name in selected:
                yield _result(verdict, load, names)

    return audits_of_load


def _spec(audit: Audit, names: Names) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        audit.name,
        asset=names.key(STAGED_PRICES),
        description=f"{audit.file.description} {_CONSEQUENCES[audit.kind]}",
        blocking=audit.can_block,
        metadata={"kind": audit.kind.value, "sql": f"sql/{audit.file.path}", "remedy": audit.file.remedy},
    )


def _description(verdict: Verdict) -> str:
    """Return the first bad row, and the sessions that are excluded because of the audit."""
    if not verdict.excludes:
        return verdict.summary
    consequence = (
        "no session is left, so the load is rejected" if verdict.blocks else "the other sessions are published"
    )
    return f"Excluded: {format_ranges(verdict.sessions)}; {consequence}. {verdict.summary}"


def _result(verdict: Verdict, load: Load, names: Names) -> dg.AssetCheckResult:
    sample = [
        dg.TableRecord({"symbol": row.symbol or "", "trade_date": str(row.trade_date or ""), "detail": row.detail})
        for row in verdict.sample
    ]
    rows = {"sample": dg.MetadataValue.table(sample, schema=_SAMPLE_SCHEMA)} if sample else {}
    where = {"sessions": format_ranges(verdict.sessions)} if verdict.sessions else {}
    acknowledged = {"acknowledged": verdict.acknowledged} if verdict.acknowledged else {}
    remedy = {} if verdict.passed else {"remedy": verdict.audit.file.remedy}
    return dg.AssetCheckResult(
        asset_key=names.key(STAGED_PRICES),
        check_name=verdict.audit.name,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.ERROR if verdict.blocks else dg.AssetCheckSeverity.WARN,
        description=None if verdict.passed else _description(verdict),
        metadata={
            "bad rows": verdict.bad_rows,
            "covers": format_ranges(load.sessions),
            "load": load.load_id,
            "statement": f"sql/{verdict.audit.file.path}",
            **acknowledged,
            **where,
            **remedy,
            **rows,
        },
    )
