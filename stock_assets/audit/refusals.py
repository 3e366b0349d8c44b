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
from stock_assets.homes.interfaces import Fetch, FetchKind, Home
from stock_assets.ingest.stored import answers, by_symbol
from stock_assets.sessions import is_session, sessions_between
from stock_assets.sql import statements
from stock_assets.stage.inputs import Limits
from stock_assets.stage.load import Load
from stock_assets.universe import Universe

KEPT_FOR = timedelta(days=400)
"""Longer than anything looks back by itself."""
_FOLDER = "staged/refusals"


@dataclass(frozen=True)
class Refusal:
    """One load that was not published.

    Attributes:
        load_id: the load.
        audits: names of those that blocked it.
        bars: digest of the bars of each session it stands for, by ISO date.
        judged_by: digest of the rules it was judged by.
        refused_at: aware, UTC.
    """

    load_id: str
    audits: tuple[str, ...]
    bars: Mapping[str, str]
    judged_by: str
    refused_at: datetime


def remember_refusal(home: Home, load: Load, blocking: Sequence[Verdict], *, judged_by: str) -> None:
    """Note that a load was refused; once for each load."""
    refused_at = datetime.now(UTC)
    key = f"{_FOLDER}/{load.load_id}.json"
    if key in home.objects.list(f"{_FOLDER}/"):
        return
    named = {session for verdict in blocking for session in verdict.sessions if is_session(session)}
    sessions = sorted(named) or sessions_between(load.start_date, load.end_date)
    stored = by_symbol(home.ledger.fetches(FetchKind.PRICES))
    digests = bar_digests(home, stored, sessions)
    refusal = Refusal(
        load_id=load.load_id,
        audits=tuple(verdict.audit.name for verdict in blocking),
        bars={session.isoformat(): digest for session, digest in digests.items()},
        judged_by=judged_by,
        refused_at=refused_at,
    )
    home.objects.put(key, json.dumps(asdict(refusal), default=str, indent=1).encode())
    for old in home.objects.list(f"{_FOLDER}/"):
        if _read(home, old).refused_at < refused_at - KEPT_FOR:
            home.objects.delete(old)


def standing_refusals(
    home: Home, stored: Mapping[str, Sequence[Fetch]], sessions: Iterable[date], *, judged_by: str
) -> dict[date, Refusal]:
    """Find the sessions whose bars were refused and are the same still, under the same rules.

    Args:
        home: where the notes are.
        stored: every request for prices by symbol, newest first.
        sessions: those of interest.
        judged_by: digest of the rules in force.
    """
    wanted = set(sessions)
    newest: dict[date, Refusal] = {}
    for key in home.objects.list(f"{_FOLDER}/") if wanted else []:
        refusal = _read(home, key)
        newest |= {day: refusal for day in map(date.fromisoformat, refusal.bars) if day in wanted}
    asked_about = [session for session, refusal in newest.items() if refusal.judged_by == judged_by]
    now = bar_digests(home, stored, asked_about)
    return {day: newest[day] for day in asked_about if newest[day].bars[day.isoformat()] == now[day]}


def rules_in_force(universe: Universe, limits: Limits) -> str:
    """Digest what a load is judged by: the audits, the staging that feeds them, the limits and the universe."""
    folders = ("stage", "audit", "audit/schema", "audit/row", "audit/load")
    texts = [file.text for folder in folders for file in statements(folder)]
    return _digest([*texts, repr(limits), repr(universe)])


def bar_digests(home: Home, stored: Mapping[str, Sequence[Fetch]], sessions: Sequence[date]) -> dict[date, str]:
    """Digest the bars that staging would read for each session, of all symbols."""
    lines: dict[date, list[str]] = {session: [] for session in sessions}
    for symbol in sorted(stored) if sessions else []:
        held = answers(stored[symbol], sessions)
        held |= answers(stored[symbol], set(sessions) - held.keys(), after_close=False)
        texts = {fetch.payload: bar_lines(home, fetch.payload) for fetch in held.values()}
        for session, fetch in held.items():
            found = texts[fetch.payload]
            lines[session].append(f"{symbol} {found.get(session, [])} {found.get(None, [])}")
    return {session: _digest(found) for session, found in lines.items()}


def bar_lines(home: Home, payload: str) -> dict[date | None, list[str]]:
    """Read the lines of a stored answer by session, as the vendor wrote them; under None those of no session."""
    found: dict[date | None, list[str]] = {}
    for line in home.objects.get(payload).decode().splitlines()[1:]:
        found.setdefault(_session_of(line), []).append(line)
    return found


def _session_of(line: str) -> date | None:
    try:
        day = date.fromisoformat(line[:10])
    except ValueError:
        return None
    return day if is_session(day) else None


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read(home: Home, key: str) -> Refusal:
    note = json.loads(home.objects.get(key))
    return Refusal(
        **{**note, "audits": tuple(note["audits"]), "refused_at": datetime.fromisoformat(note["refused_at"])}
    )
