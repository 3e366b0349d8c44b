"""Finds the audits under `sql/audit` and passes judgement on a load.

Belongs here: what the kinds of audit mean. Does not belong here: any single audit (each is a file), or how Dagster
shows a verdict (`checks`).

An audit is one SELECT that returns the bad rows as (symbol, trade_date, detail). Its folder says what they lead to:

- `row/`: the bar is quarantined, the rest of the load goes on. The file reads `${bars}`.
- `load/`: any bad row keeps the whole load from being published.
- `warning/`: shown, never in the way.
- `schema/`: as `load/`, and judged first: the others need the columns it vouches for.

Adding an audit is adding a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from stock_assets.backends.interface import SqlSession
from stock_assets.core.errors import QueryFailed
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.loads.audit_files import Audit, AuditKind, audits

SAMPLE_ROWS = 10
_QUARANTINED = "quarantined "


@dataclass(frozen=True)
class BadRow:
    """One bad row; symbol or trade_date are None where the audit is about a whole session or table."""

    symbol: str | None
    trade_date: date | None
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What one audit found in one load.

    Attributes:
        audit: the audit.
        bad_rows: how many rows it found, quarantined ones included.
        blocks: whether the load may not be published.
        sample: the first of the bad rows.
        sessions: all those that the bad rows name, in order; where some are quarantined and some not, of the latter.
    """

    audit: Audit
    bad_rows: int
    blocks: bool
    sample: tuple[BadRow, ...]
    sessions: tuple[date, ...] = ()

    @property
    def passed(self) -> bool:
        """No bad row at all."""
        return self.bad_rows == 0


@dataclass(frozen=True)
class Judgement:
    """What one statement found.

    Attributes:
        verdicts: one per audit.
        counts: rows of each further question, by its name; without those that no row answers.
    """

    verdicts: list[Verdict]
    counts: Mapping[str, int]


def judge(
    sql: SqlSession, values: Mapping[str, SqlValue], further: Mapping[str, Fragment] = MappingProxyType({})
) -> Judgement:
    """Audit one load: the rows that would be committed, and the bars that were quarantined.

    All audits are one statement, since engines that acquire do so for each. Where it cannot even be run, the audits of
    the schema are asked alone, and if they cannot say why, the engine's reason stands.

    Args:
        sql: a session of the load.
        values: what the audits may name.
        further: SELECTs of (symbol, trade_date, detail) whose rows are counted on the way, by name.

    Returns:
        one verdict per audit; only those of the schema if it is not as declared, since the other audits could not
        be trusted to read what they mean.
    """
    try:
        judgement = _judge(sql, values, tuple(AuditKind), further)
    except QueryFailed:
        judgement = _judge(sql, values, (AuditKind.SCHEMA,), {})
        if not any(verdict.blocks for verdict in judgement.verdicts):
            raise
    schema = [verdict for verdict in judgement.verdicts if verdict.audit.kind is AuditKind.SCHEMA]
    return Judgement(schema, {}) if any(verdict.blocks for verdict in schema) else judgement


def _judge(
    sql: SqlSession, values: Mapping[str, SqlValue], kinds: Sequence[AuditKind], further: Mapping[str, Fragment]
) -> Judgement:
    """Run the audits of some kinds as one statement."""
    chosen = [audit for audit in audits() if audit.kind in kinds]
    to_commit = dict(values) | {"bars": Fragment(f"({statement('audit/bars_to_commit.sql').bind(values)})")}
    parts = [audit.named(to_commit if audit.kind is AuditKind.ROW else values) for audit in chosen]
    if AuditKind.ROW in kinds:
        parts.append(statement("audit/quarantined.sql").bind(dict(values) | {"prefix": _QUARANTINED}))
    for name, rows in further.items():
        parts.append(statement("audit/named.sql").bind({"audit": name, "bad_rows": rows}))
    findings = statement("audit/findings.sql").bind(
        {"findings": Fragment("\nUNION ALL\n".join(parts)), "sample_rows": SAMPLE_ROWS}
    )
    found: dict[str, list[dict[str, object]]] = {}
    for row in sql.query(findings).to_pylist():
        found.setdefault(row["audit"], []).append(row)
    verdicts = [
        _verdict(audit, found.get(audit.name, []), found.get(_QUARANTINED + audit.name, [])) for audit in chosen
    ]
    return Judgement(verdicts, {name: int(str(found[name][0]["bad_rows"])) for name in further if name in found})


def _verdict(audit: Audit, bad: list[dict[str, object]], quarantined: list[dict[str, object]]) -> Verdict:
    count = sum(int(str(rows[0]["bad_rows"])) for rows in (bad, quarantined) if rows)
    sample = tuple(
        BadRow(row["symbol"], row["trade_date"], str(row["detail"]))  # type: ignore[arg-type]  # columns of findings.sql
        for row in (bad + quarantined)[:SAMPLE_ROWS]
    )
    sessions = sorted({row["trade_date"] for row in bad or quarantined if row["trade_date"] is not None})  # type: ignore[type-var]  # as above
    return Verdict(audit, count, audit.can_block and bool(bad), sample, tuple(sessions))  # type: ignore[arg-type]  # as above
