"""Notes of loads that may not be published, so that nothing tries the same bars again by itself.

Belongs here: what a note holds, and whether anything has changed since. Does not belong here: refusing (`gate`), or
what is tried instead (`automation.catch_up`).

A refusal stands for the sessions that the bad rows name (for the whole load if they name none), and for the bars those
sessions had then, under the rules of then. A newer answer with the same bars changes nothing; a corrected bar, a bar
that has come in since, another limit, universe or audit does. A line of an answer that is dated on no session belongs
to every session that the answer serves: it too may be what was refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

from stock_assets.audit.audits import Verdict
from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import is_session, sessions_between
from stock_assets.core.sql import statements
from stock_assets.ingest.ledger_queries import answers, bar_lines, group_by_symbol
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.load import Load

KEPT_FOR = timedelta(days=400)
"""Longer than anything looks back by itself."""
_FOLDER = "staged/refusals"


@dataclass(frozen=True)
class Rejection:
    """One load that was not published.

    Attributes:
        load_id: the load.
        audits: names of those that blocked it.
        bars: digest of the bars of each session it stands for, by ISO date.
        rules_digest: digest of the rules it was judged by.
        rejected_at: aware, UTC.
    """

    load_id: str
    audits: tuple[str, ...]
    bars: Mapping[str, str]
    rules_digest: str
    rejected_at: datetime


def record_rejection(parts: PipelineParts, load: Load, blocking: Sequence[Verdict]) -> None:
    """Note that a load was refused; once for each load."""
    backend, rejected_at = parts.backend, datetime.now(UTC)
    key = f"{_FOLDER}/{load.load_id}.json"
    if key in backend.objects.list(f"{_FOLDER}/"):
        return
    named = {session for verdict in blocking for session in verdict.sessions if is_session(session)}
    sessions = sorted(named) or sessions_between(load.start_date, load.end_date)
    stored = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES))
    digests = bar_digests(backend, stored, sessions)
    refusal = Rejection(
        load_id=load.load_id,
        audits=tuple(verdict.audit.name for verdict in blocking),
        bars={session.isoformat(): digest for session, digest in digests.items()},
        rules_digest=audit_rules_digest(parts),
        rejected_at=rejected_at,
    )
    backend.objects.put(key, json.dumps(asdict(refusal), default=str, indent=1).encode())
    for old in backend.objects.list(f"{_FOLDER}/"):
        if _read(backend, old).rejected_at < rejected_at - KEPT_FOR:
            backend.objects.delete(old)


def current_rejections(
    parts: PipelineParts, stored: Mapping[str, Sequence[Fetch]], sessions: Iterable[date]
) -> dict[date, Rejection]:
    """Find the sessions whose bars were refused and are the same still, under the same rules.

    Args:
        parts: the pipeline.
        stored: every request for prices by symbol, newest first.
        sessions: those of interest.
    """
    backend, rules_digest = parts.backend, audit_rules_digest(parts)
    wanted = set(sessions)
    newest: dict[date, Rejection] = {}
    for key in backend.objects.list(f"{_FOLDER}/") if wanted else []:
        refusal = _read(backend, key)
        newest |= {day: refusal for day in map(date.fromisoformat, refusal.bars) if day in wanted}
    asked_about = [session for session, refusal in newest.items() if refusal.rules_digest == rules_digest]
    now = bar_digests(backend, stored, asked_about)
    return {day: newest[day] for day in asked_about if newest[day].bars[day.isoformat()] == now[day]}


def audit_rules_digest(parts: PipelineParts) -> str:
    """Digest what a load is judged by: the audits, the staging that feeds them, the limits and the universe."""
    folders = ("stage", "audit", "audit/schema", "audit/row", "audit/load")
    texts = [file.text for folder in folders for file in statements(folder)]
    return _digest([*texts, repr(parts.limits), repr(parts.universe)])


def bar_digests(backend: Backend, stored: Mapping[str, Sequence[Fetch]], sessions: Sequence[date]) -> dict[date, str]:
    """Digest the bars that staging would read for each session, of all symbols."""
    lines: dict[date, list[str]] = {session: [] for session in sessions}
    for symbol in sorted(stored) if sessions else []:
        held = answers(stored[symbol], sessions)
        held |= answers(stored[symbol], set(sessions) - held.keys(), after_close=False)
        texts = {fetch.response_key: bar_lines(backend, fetch.response_key) for fetch in held.values()}
        for session, fetch in held.items():
            found = texts[fetch.response_key]
            lines[session].append(f"{symbol} {found.get(session, [])} {found.get(None, [])}")
    return {session: _digest(found) for session, found in lines.items()}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(backend: Backend, key: str) -> Rejection:
    note = json.loads(backend.objects.get(key))
    return Rejection(
        **{**note, "audits": tuple(note["audits"]), "rejected_at": datetime.fromisoformat(note["rejected_at"])}
    )
