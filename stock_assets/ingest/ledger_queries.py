"""Looks up what is stored already: which answer holds which bar, which splits are known.

Belongs here: reading the ledger and the stored answers. Does not belong here: asking for more (`fetch`,
`split_refresh`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, is_session
from stock_assets.core.errors import Outcome
from stock_assets.ingest.parts import PipelineParts
from stock_assets.sources.interface import AvailableHistory, Split


def known_splits(parts: PipelineParts) -> dict[str, list[Split]]:
    """Read the splits of every symbol from its newest good answer."""
    newest: dict[str, Fetch] = {}
    for fetch in parts.backend.ledger.fetches(FetchKind.SPLITS, outcome=Outcome.OK):
        newest.setdefault(fetch.symbol, fetch)
    return {
        symbol: parts.source.read_splits(parts.backend.objects.get(fetch.response_key), symbol)
        for symbol, fetch in sorted(newest.items())
    }


def responses_for(backend: Backend, sessions: Sequence[date]) -> list[Fetch]:
    """Choose the stored answers that hold the newest bar of every (symbol, session) asked for, and no others.

    An answer counts for a session if it came after the closing bell. Where only an earlier one has the session, it is
    chosen too, so that the audit `session_closed_at_fetch` can set the bar aside for everyone to see.

    Symbols that have left the universe are included: their published history must be able to be staged again.
    """
    found = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK))
    chosen: list[Fetch] = []
    for symbol in sorted(found):
        after_close = answers(found[symbol], sessions)
        before_close = answers(found[symbol], set(sessions) - after_close.keys(), after_close=False)
        chosen += dict.fromkeys([*after_close.values(), *before_close.values()])
    return chosen


def fetches_for_responses(backend: Backend, payloads: Sequence[str]) -> list[Fetch]:
    """Look up the fetches that stored these answers."""
    wanted = set(payloads)
    found = [
        fetch for fetch in backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK) if fetch.response_key in wanted
    ]
    # A file that two runs took in at once has two notes.
    return list({fetch.response_key: fetch for fetch in found}.values())


def missing_sessions(wanted: Sequence[date], fetches: Sequence[Fetch]) -> tuple[date, ...]:
    """List the wanted sessions that no answer fetched after their close holds."""
    held = answers(fetches, wanted)
    return tuple(sorted(session for session in set(wanted) if session not in held))


def beyond(missing: Sequence[date], reach: AvailableHistory | None) -> tuple[date, ...]:
    """List the sessions that lie further back than answers reach."""
    return tuple(session for session in missing if reach is not None and session < reach.first)


def splits_by_symbol(splits: Mapping[str, Sequence[Split]]) -> list[dict[str, str]]:
    """List the known splits as text rows, for previews."""
    return [
        {"symbol": symbol, "ex-date": split.ex_date.isoformat(), "ratio": f"{split.ratio.normalize():f}:1"}
        for symbol, events in splits.items()
        for split in events
    ]


def group_by_symbol(fetches: Sequence[Fetch]) -> dict[str, list[Fetch]]:
    """Group fetches, keeping their order."""
    found: dict[str, list[Fetch]] = {}
    for fetch in fetches:
        found.setdefault(fetch.symbol, []).append(fetch)
    return found


def answers(
    newest_first: Sequence[Fetch], sessions: Collection[date], *, after_close: bool = True
) -> dict[date, Fetch]:
    """Choose, for each session that any good answer of one symbol has, the newest such answer.

    Args:
        newest_first: requests for one symbol.
        sessions: those wanted.
        after_close: whether only answers count that came after the session's closing bell.
    """
    uncovered = set(sessions)
    found: dict[date, Fetch] = {}
    for fetch in newest_first:
        if not uncovered:
            break
        if fetch.outcome is not Outcome.OK:
            continue
        held = {
            session
            for session in uncovered
            if fetch.holds(session) and (not after_close or fetch.fetched_at >= closing_time(session))
        }
        found |= dict.fromkeys(held, fetch)
        uncovered -= held
    return found


def bar_lines(backend: Backend, payload: str) -> dict[date | None, list[str]]:
    """Read the lines of a stored answer by session, as the vendor wrote them; under None those of no session."""
    found: dict[date | None, list[str]] = {}
    for line in backend.objects.get(payload).decode().splitlines()[1:]:
        found.setdefault(_session_of(line), []).append(line)
    return found


def _session_of(line: str) -> date | None:
    try:
        day = date.fromisoformat(line[:10])
    except ValueError:
        return None
    return day if is_session(day) else None
