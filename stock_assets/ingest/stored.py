"""Looks up what is stored already: which answer holds which bar, which splits are known.

Belongs here: reading the ledger and the stored answers. Does not belong here: asking for more (`fetch`,
`split_refresh`).
"""

from collections.abc import Mapping, Sequence
from datetime import date

from stock_assets.errors import Outcome
from stock_assets.homes.interfaces import Fetch, FetchKind, Home
from stock_assets.ingest.source import PriceSource, Reach, Split
from stock_assets.sessions import closing_time


def known_splits(home: Home, source: PriceSource) -> dict[str, list[Split]]:
    """Read the splits of every symbol from its newest good answer."""
    newest: dict[str, Fetch] = {}
    for fetch in home.ledger.fetches(FetchKind.SPLITS, outcome=Outcome.OK):
        newest.setdefault(fetch.symbol, fetch)
    return {
        symbol: source.read_splits(home.objects.get(fetch.payload), symbol) for symbol, fetch in sorted(newest.items())
    }


def payloads_for(home: Home, sessions: Sequence[date]) -> list[Fetch]:
    """Choose the stored answers that hold the newest bar of every (symbol, session) asked for, and no others.

    An answer counts for a session if it came after the closing bell. Where only an earlier one has the session, it is
    chosen too, so that the audit `session_closed_at_fetch` can set the bar aside for everyone to see.

    Symbols that have left the universe are included: their published history must be able to be staged again.
    """
    found = by_symbol(home.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK))
    chosen = []
    for symbol in sorted(found):
        after_close, uncovered = _newest_holding(found[symbol], sessions, after_close=True)
        before_close, _ = _newest_holding(found[symbol], uncovered, after_close=False)
        chosen += after_close + [fetch for fetch in before_close if fetch not in after_close]
    return chosen


def fetches_of(home: Home, payloads: Sequence[str]) -> list[Fetch]:
    """Look up the fetches that stored these answers."""
    wanted = set(payloads)
    return [fetch for fetch in home.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK) if fetch.payload in wanted]


def not_stored(wanted: Sequence[date], fetches: Sequence[Fetch]) -> tuple[date, ...]:
    """List the wanted sessions that no answer fetched after their close holds."""
    good = [fetch for fetch in fetches if fetch.outcome is Outcome.OK]
    return tuple(sorted(_newest_holding(good, wanted, after_close=True)[1]))


def beyond(missing: Sequence[date], reach: Reach | None) -> tuple[date, ...]:
    """List the sessions that lie further back than answers reach."""
    return tuple(session for session in missing if reach is not None and session < reach.first)


def splits_by_symbol(splits: Mapping[str, Sequence[Split]]) -> list[dict[str, str]]:
    """List the known splits as text rows, for previews."""
    return [
        {"symbol": symbol, "ex-date": split.ex_date.isoformat(), "ratio": f"{split.ratio.normalize():f}:1"}
        for symbol, events in splits.items()
        for split in events
    ]


def by_symbol(fetches: Sequence[Fetch]) -> dict[str, list[Fetch]]:
    """Group fetches, keeping their order."""
    found: dict[str, list[Fetch]] = {}
    for fetch in fetches:
        found.setdefault(fetch.symbol, []).append(fetch)
    return found


def _newest_holding(
    newest_first: Sequence[Fetch], sessions: Sequence[date] | set[date], *, after_close: bool
) -> tuple[list[Fetch], set[date]]:
    """Choose, for each session, the newest answer that has it; give them, and the sessions that none has."""
    uncovered, chosen = set(sessions), []
    for fetch in newest_first:
        if not uncovered:
            break
        found = {
            session
            for session in uncovered
            if fetch.holds(session) and (not after_close or fetch.fetched_at >= closing_time(session))
        }
        if found:
            chosen.append(fetch)
            uncovered -= found
    return chosen, uncovered
