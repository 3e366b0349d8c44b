"""Run the audits of a staged load and decide what their bad rows mean.

Belongs here: the verdict of each audit on one load. Does not belong here: the list of audit files
(`loads.audit_files`), any single audit (each is a file under `sql/audit`), or how Dagster shows a verdict
(`orchestration.checks.audits`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

import pyarrow as pa

from stock_assets.backends.interface import SqlConnection
from stock_assets.core.errors import QueryFailed
from stock_assets.core.sql import Fragment, Name, SqlValue, statement
from stock_assets.loads.audit_files import Audit, AuditKind, bound_audits
from stock_assets.loads.broken_audits import raise_for_broken_audit
from stock_assets.loads.verdict import BadRow, Verdict

SAMPLE_ROWS = 10
_QUARANTINED = "quarantined "
_ACKNOWLEDGED = "acknowledged "
_SHARED = {"bars", "bars_to_commit", "recent_bars"}
"""Parameters that stand for relations of `with_shared_relations.sql`."""


def run_audits(sql: SqlConnection, values: Mapping[str, SqlValue]) -> list[Verdict]:
    """Audit one load: the rows that would be committed, and the bars that were quarantined.

    All audits are one statement, since an engine may charge for each statement. If the statement fails, the schema
    audits run alone: columns that differ from their declaration are the usual reason. If they find nothing, the audits
    run one by one, so that the error names the broken file.

    Args:
        sql: a session of the load.
        values: the values that audits may name.

    Returns:
        one verdict per audit; only the verdicts of the schema audits if one of these blocks, since the other audits
        might then read columns with another meaning.

    Raises:
        QueryFailed: the SQL engine does not accept the statement; if one audit is the reason, the message names its
            file.
    """
    try:
        verdicts = _run(sql, values, tuple(AuditKind))
    except QueryFailed as error:
        verdicts = _run_schema_audits(sql, values)
        if not any(verdict.blocks for verdict in verdicts):
            audits_alone = [
                (audit, _with_shared_relations(values, select) if audit.file.parameters & _SHARED else select)
                for audit, select in _bound_audits(values, tuple(AuditKind))
            ]
            raise_for_broken_audit(sql, audits_alone, error)
            raise
    schema = [verdict for verdict in verdicts if verdict.audit.kind is AuditKind.SCHEMA]
    return schema if any(verdict.blocks for verdict in schema) else verdicts


def audit_statement(values: Mapping[str, SqlValue]) -> str:
    """Return the statement of all audits of one load, with its values: equal rows and an equal text, equal verdicts.

    It begins with what no statement contains: kind and scope of each audit, and how the findings of chunks are merged.
    """
    bound = _bound_audits(values, tuple(AuditKind))
    kinds = [f"-- {audit.kind} {audit.name} {audit.file.scope}" for audit, _ in bound]
    merged = statement("audit/findings_of_chunks.sql").text
    return "\n".join([*kinds, merged, _statement(values, tuple(AuditKind), bound)])


def excluded_sessions(verdicts: Iterable[Verdict]) -> tuple[date, ...]:
    """Return the sessions that session audits exclude from a load, in order."""
    return tuple(sorted({session for verdict in verdicts if verdict.excludes for session in verdict.sessions}))


def block_if_all_excluded(verdicts: Sequence[Verdict], requested: Collection[date]) -> list[Verdict]:
    """Return the verdicts; if every requested session is excluded, the audits that exclude them block the load."""
    if not set(requested) <= set(excluded_sessions(verdicts)):
        return list(verdicts)
    return [replace(verdict, blocks=True) if verdict.excludes else verdict for verdict in verdicts]


def _run_schema_audits(sql: SqlConnection, values: Mapping[str, SqlValue]) -> list[Verdict]:
    kinds = (AuditKind.SCHEMA,)
    try:
        return _run(sql, values, kinds)
    except QueryFailed as error:
        raise_for_broken_audit(sql, _bound_audits(values, kinds), error)
        raise


def _bound_audits(values: Mapping[str, SqlValue], kinds: Sequence[AuditKind]) -> list[tuple[Audit, str]]:
    """Bind the audits of some kinds; row audits read the rows that would be committed."""
    values = dict(values) | {name: Name(name) for name in ("bars_to_commit", "recent_bars")}
    to_commit = values | {"bars": values["bars_to_commit"]}
    return [pair for kind in kinds for pair in bound_audits(to_commit if kind is AuditKind.ROW else values, kind)]


def _with_shared_relations(values: Mapping[str, SqlValue], findings: str) -> str:
    bars = Fragment(statement("audit/bars_to_commit.sql").bind(values))
    marks: dict[str, SqlValue] = {
        "findings": Fragment(findings),
        "bars_to_commit_select": bars,
        "acknowledged": _ACKNOWLEDGED,
    }
    return statement("audit/with_shared_relations.sql").bind({**values, **marks})


def _run(sql: SqlConnection, values: Mapping[str, SqlValue], kinds: Sequence[AuditKind]) -> list[Verdict]:
    """Run the audits of some kinds as one statement, or as one for all symbols and one for each chunk of symbols."""
    bound = _bound_audits(values, kinds)
    rows = _run_in_chunks(sql, values, kinds, bound) if sql.is_divided else sql.query(_statement(values, kinds, bound))
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["audit"], []).append(row)
    return [
        _verdict(audit, *(found.get(prefix + audit.name, []) for prefix in ("", _QUARANTINED, _ACKNOWLEDGED)))
        for audit, _ in bound
    ]


def _run_in_chunks(
    sql: SqlConnection, values: Mapping[str, SqlValue], kinds: Sequence[AuditKind], bound: Sequence[tuple[Audit, str]]
) -> pa.Table:
    """Run the audits that compare symbols, then the others for each chunk; return what one statement would return."""
    of_all = [pair for pair in bound if pair[0].compares_symbols]
    of_symbols = [pair for pair in bound if not pair[0].compares_symbols]
    found = [sql.query(_statement(values, kinds, of_all, quarantined=False))]
    blocked = {audit.name for audit, _ in of_all if audit.kind is AuditKind.SCHEMA} & set(found[0]["audit"].to_pylist())
    if of_symbols and not blocked:
        statement_of_chunk = _statement(values, kinds, of_symbols)
        found += sql.each_chunk(lambda: sql.query(statement_of_chunk))
    numbered = [
        rows.append_column("chunk", pa.array([number] * rows.num_rows, pa.int64())) for number, rows in enumerate(found)
    ]
    findings = sql.register("chunk_findings", pa.concat_tables(numbered, promote_options="permissive"))
    marks: dict[str, SqlValue] = {"chunk_findings": findings, "sample_rows": SAMPLE_ROWS}
    return sql.query(statement("audit/findings_of_chunks.sql").bind({**values, **marks}))


def _statement(
    values: Mapping[str, SqlValue],
    kinds: Sequence[AuditKind],
    bound: Iterable[tuple[Audit, str]],
    *,
    quarantined: bool = True,
) -> str:
    """Return the statement that runs bound audits of some kinds."""
    parts = [select for _, select in bound]
    if quarantined and AuditKind.ROW in kinds:
        parts.append(statement("audit/quarantined.sql").bind(dict(values) | {"prefix": _QUARANTINED}))
    bad_rows = "\nUNION ALL\n".join(parts)
    if AuditKind.WARNING in kinds:
        bad_rows = _with_shared_relations(values, bad_rows)
    return statement("audit/findings.sql").bind(
        dict(values) | {"findings": Fragment(bad_rows), "sample_rows": SAMPLE_ROWS}
    )


def _verdict(
    audit: Audit,
    bad: list[dict[str, object]],
    quarantined: list[dict[str, object]],
    acknowledged: list[dict[str, object]],
) -> Verdict:
    count = _count(bad) + _count(quarantined)
    named, others = (
        tuple(BadRow(row["symbol"], row["trade_date"], str(row["detail"])) for row in rows)  # type: ignore[arg-type]  # columns of findings.sql
        for rows in (bad, quarantined)
    )
    sessions = sorted({row.trade_date for row in named or others if row.trade_date is not None})
    # A session audit blocks only if it excludes every session: block_if_all_excluded.
    blocks = bool(bad) and audit.kind not in (AuditKind.SESSION, AuditKind.WARNING)
    sample = (named + others)[:SAMPLE_ROWS]
    return Verdict(audit, count, blocks, sample, tuple(sessions), named, others, _count(acknowledged))


def _count(rows: list[dict[str, object]]) -> int:
    return int(str(rows[0]["bad_rows"])) if rows else 0
