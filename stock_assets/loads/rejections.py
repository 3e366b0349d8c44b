"""Records of rejected loads and excluded sessions, so that the same bars are not loaded again automatically.

Belongs here: the content of a record, and whether anything has changed since. Does not belong here: rejecting a load
(`audit.gate`), or deciding what to load instead (`coverage.catch_up`).

A rejection applies to the sessions that the bad rows name (to the whole load if they name none), to the bars that these
sessions had at the time, and to the rules at the time. A newer response with the same bars changes nothing. A corrected
bar, an additional bar, another limit, universe or audit ends the rejection. The record explains itself: it has the bad
rows of each session with the raw response and the remedy.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain

from stock_assets.backends.interface import Backend, Fetch
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.backends.stored_records import read_record, record_body
from stock_assets.core.calendar import is_session
from stock_assets.core.sql import SqlValue, statement, statements
from stock_assets.core.tables import STAGED_QUARANTINE
from stock_assets.ingest.ledger_queries import bar_lines, newest_responses, staged_responses
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.audit_files import AuditKind
from stock_assets.loads.load import Load
from stock_assets.loads.verdict import BadRow, Verdict

KEPT_FOR = timedelta(days=400)
"""Longer than any automatic step looks back."""
REMEDY_FOLLOWS = ". Remedy: "
"""Separates, in a line of `Rejection.findings`, what an audit found from its remedy."""
_FOLDER = "staged/rejections"


@dataclass(frozen=True)
class Rejection:
    """Sessions of one load that were not published.

    Attributes:
        load_id: the load.
        audits: names of the audits that blocked the load or excluded its sessions.
        bars: digest of the bars of each session that the rejection applies to, by ISO date.
        rules_digest: digest of the rules at the time.
        rejected_at: aware, UTC.
        findings: lines for people, by ISO date: audit, symbol, session, what it found, raw response, remedy.
        quarantined: by ISO date, symbol and audit, what the audit found in a bar that the load quarantined; another
            response may correct the bar.
    """

    load_id: str
    audits: tuple[str, ...]
    bars: Mapping[str, str]
    rules_digest: str
    rejected_at: datetime
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quarantined: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)


def record_rejection(parts: PipelineParts, load: Load, verdicts: Sequence[Verdict]) -> None:
    """Record the sessions that a load does not publish, once for each load; delete records that are too old to matter.

    Args:
        parts: the pipeline.
        load: the load.
        verdicts: all verdicts; at least one blocks the load or excludes sessions.
    """
    backend, rejected_at = parts.backend, datetime.now(UTC)
    key = f"{_FOLDER}/{load.load_id}.json"
    if key in backend.objects.keys(f"{_FOLDER}/"):
        return
    failed = [verdict for verdict in verdicts if verdict.blocks or verdict.excludes]
    sessions = _rejected_sessions(load, failed)
    with backend.ledger.read() as ledger:
        digests = bar_digests(backend, ledger, sessions)
        findings = _findings(sessions, verdicts, ledger)
    rejection = Rejection(
        load_id=load.load_id,
        audits=tuple(verdict.audit.name for verdict in failed),
        bars={session.isoformat(): digest for session, digest in digests.items()},
        rules_digest=audit_rules_digest(parts),
        rejected_at=rejected_at,
        findings=findings,
        quarantined=_quarantined(backend, load, sessions) if _columns_are_right(verdicts) else {},
    )
    backend.objects.put(key, record_body(asdict(rejection)))
    for recorded in backend.objects.keys(f"{_FOLDER}/"):
        if _read(backend, recorded).rejected_at < rejected_at - KEPT_FOR:
            backend.objects.delete(recorded)


def _rejected_sessions(load: Load, failed: Sequence[Verdict]) -> list[date]:
    """Return the sessions that the bad rows name; all sessions of the load if a blocking audit names none."""
    named = [{session for session in verdict.sessions if is_session(session)} for verdict in failed]
    if any(verdict.blocks and not found for verdict, found in zip(failed, named, strict=True)):
        return load.sessions
    return sorted(set().union(*named))


def _columns_are_right(verdicts: Sequence[Verdict]) -> bool:
    return not any(verdict.audit.kind is AuditKind.SCHEMA and verdict.blocks for verdict in verdicts)


def _quarantined(backend: Backend, load: Load, sessions: Sequence[date]) -> dict[str, dict[str, dict[str, str]]]:
    """Read the bars of the rejected sessions that the load quarantined; they are not in the published quarantine."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    with backend.warehouse.connect(load.load_id) as sql:
        values: dict[str, SqlValue] = {
            "quarantined_prices": sql.name(STAGED_QUARANTINE),
            "first_date": sessions[0],
            "last_date": sessions[-1],
        }
        rows = sql.query(statement("audit/quarantined_bars.sql").bind(values)).to_pylist()
    for row in rows:
        if row["trade_date"] in sessions:
            bars = found.setdefault(row["trade_date"].isoformat(), {})
            bars.setdefault(row["symbol"], {})[row["audit"]] = row["detail"]
    return found


def _findings(sessions: Sequence[date], verdicts: Sequence[Verdict], ledger: LedgerTable) -> dict[str, tuple[str, ...]]:
    """Format why each session is not published, and which of its bars are quarantined."""
    bad = {session: _bad_rows(session, verdicts) for session in sessions}
    wanted: dict[str, list[date]] = {}
    for _, row in chain.from_iterable(bad.values()):
        if row.symbol is not None and row.trade_date is not None and is_session(row.trade_date):
            wanted.setdefault(row.symbol, []).append(row.trade_date)
    responses = newest_responses(ledger, wanted)
    return {
        session.isoformat(): tuple(_format(verdict, row, responses) for verdict, row in rows)
        for session, rows in bad.items()
    }


def _bad_rows(session: date, verdicts: Sequence[Verdict]) -> list[tuple[Verdict, BadRow]]:
    """Return the bad rows that keep one session from being published, then its quarantined bars."""
    failed = [
        (verdict, row)
        for verdict in verdicts
        if verdict.blocks or verdict.excludes
        for row in verdict.named
        if row.trade_date is None or row.trade_date == session or not is_session(row.trade_date)
    ]
    return failed + [(verdict, row) for verdict in verdicts for row in verdict.quarantined if row.trade_date == session]


def _format(verdict: Verdict, row: BadRow, responses: Mapping[str, Mapping[date, Fetch]]) -> str:
    """Format a bad row with the raw response that has its bar, if it names a bar and one is stored."""
    found = responses.get(row.symbol or "", {}).get(row.trade_date or date.min)
    response = f", response {found.response_key}" if found else ""
    return f"{verdict.audit.name}: {row}{response}{REMEDY_FOLLOWS}{verdict.audit.file.remedy}"


def read_rejection(backend: Backend, load_id: str) -> Rejection | None:
    """Return the record of the sessions that a load did not publish; None if it published all."""
    try:
        return _read(backend, f"{_FOLDER}/{load_id}.json")
    except KeyError:
        return None


def current_rejections(parts: PipelineParts, ledger: LedgerTable, sessions: Iterable[date]) -> dict[date, Rejection]:
    """Return the rejections, by session, of bars that have not changed since, under rules that have not changed."""
    backend, rules_digest = parts.backend, audit_rules_digest(parts)
    relevant = set(sessions)
    newest: dict[date, Rejection] = {}
    for key in backend.objects.keys(f"{_FOLDER}/") if relevant else []:
        rejection = _read(backend, key)
        newest |= {day: rejection for day in map(date.fromisoformat, rejection.bars) if day in relevant}
    same_rules = [session for session, rejection in newest.items() if rejection.rules_digest == rules_digest]
    now = bar_digests(backend, ledger, same_rules)
    return {day: newest[day] for day in same_rules if newest[day].bars[day.isoformat()] == now[day]}


def audit_rules_digest(parts: PipelineParts) -> str:
    """Return a digest of the rules: audits that can block, the staging SQL that they read, limits and universe."""
    folders = ("stage", "audit", *(f"audit/{kind}" for kind in AuditKind if kind is not AuditKind.WARNING))
    texts = [file.text for folder in folders for file in statements(folder)]
    return _digest([*texts, repr(parts.limits), repr(parts.universe)])


def bar_digests(backend: Backend, ledger: LedgerTable, sessions: Sequence[date]) -> dict[date, str]:
    """Return, by session, a digest of the bars of all symbols that staging would read."""
    lines: dict[date, list[str]] = {session: [] for session in sorted(sessions)}
    for symbol, uses in staged_responses(ledger, list(lines)).items() if lines else ():
        for fetch, held in uses:
            bars = bar_lines(backend, fetch, held)
            for session in held:
                lines[session].append(f"{symbol} {bars[session]}")
    return {session: _digest(found) for session, found in lines.items()}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(backend: Backend, key: str) -> Rejection:
    stored = read_record(backend.objects, key)
    return Rejection(
        **{
            **stored,
            "audits": tuple(stored["audits"]),
            "rejected_at": datetime.fromisoformat(stored["rejected_at"]),
            "findings": {day: tuple(lines) for day, lines in stored.get("findings", {}).items()},
        }
    )
