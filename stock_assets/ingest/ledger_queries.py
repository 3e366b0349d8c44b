"""Queries of the ledger: which stored response contains which bar, which splits are known.

Belongs here: reading the ledger and the stored responses. Does not belong here: requesting more (`price_requests`,
`split_requests`).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import pyarrow as pa

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, is_session
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.sources.interface import AvailableHistory, Split
from stock_assets.sources.raw_format import split_rows


def known_splits(parts: PipelineParts) -> dict[str, list[Split]]:
    """Return the splits of every symbol, read from its newest good response."""
    newest: dict[str, Fetch] = {}
    for fetch in parts.backend.ledger.fetches(FetchKind.SPLITS, outcome=Outcome.OK):
        newest.setdefault(fetch.symbol, fetch)
    return {
        symbol: parts.source.read_splits(parts.backend.objects.get(fetch.response_key), symbol)
        for symbol, fetch in sorted(newest.items())
    }


def responses_for(backend: Backend, sessions: Sequence[date]) -> list[Fetch]:
    """Return the stored responses that contain the newest bar of every symbol and requested session, and no others.

    A response counts for a session if it arrived after the market close. If only an earlier response contains the
    session, it is returned too, so that the audit `session_closed_at_fetch` quarantines the bar visibly.

    Symbols that have left the universe are included: it must be possible to stage their published history again.
    """
    found = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK))
    chosen: list[Fetch] = []
    for symbol in sorted(found):
        after_close = newest_responses(found[symbol], sessions)
        before_close = newest_responses(found[symbol], set(sessions) - after_close.keys(), after_close=False)
        chosen += dict.fromkeys([*after_close.values(), *before_close.values()])
    return chosen


def fetches_for_responses(backend: Backend, response_keys: Sequence[str]) -> list[Fetch]:
    """Return the fetches that stored these responses."""
    wanted = set(response_keys)
    found = [
        fetch for fetch in backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK) if fetch.response_key in wanted
    ]
    # A landing file that two runs read at the same time has two ledger entries.
    return list({fetch.response_key: fetch for fetch in found}.values())


def missing_sessions(wanted: Sequence[date], fetches: Sequence[Fetch]) -> tuple[date, ...]:
    """Return the wanted sessions that no response fetched after their market close contains."""
    held = newest_responses(fetches, wanted)
    return tuple(sorted(session for session in set(wanted) if session not in held))


def before_available_history(sessions: Sequence[date], available: AvailableHistory | None) -> tuple[date, ...]:
    """Return the sessions that are older than the vendor's available history."""
    return tuple(session for session in sessions if available is not None and session < available.first)


def splits_by_symbol(splits: Mapping[str, Sequence[Split]]) -> list[dict[str, str]]:
    """Format the known splits as text rows, for previews."""
    return [
        {"symbol": symbol, "ex-date": split.ex_date.isoformat(), "ratio": f"{split.ratio.normalize():f}:1"}
        for symbol, events in splits.items()
        for split in events
    ]


def listings(parts: PipelineParts) -> pa.Table:
    """Build the relation `listings`: the universe, and the symbols that have left it because of a rename.

    Such a symbol is listed until the day before the new ticker's first session. A symbol that has left the universe for
    another reason has no listing, and its published history stays.
    """
    renames = {fetch.symbol: fetch for fetch in reversed(parts.backend.ledger.fetches(FetchKind.RENAMES))}
    ended = [
        Listing(symbol, "", rename.first_session, rename.last_session)
        for symbol, rename in renames.items()
        if symbol not in parts.universe.symbols
    ]
    return Universe((*parts.universe.listings, *ended)).table()


def group_by_symbol(fetches: Sequence[Fetch]) -> dict[str, list[Fetch]]:
    """Group fetches by symbol, in their order."""
    found: dict[str, list[Fetch]] = {}
    for fetch in fetches:
        found.setdefault(fetch.symbol, []).append(fetch)
    return found


def newest_responses(
    newest_first: Sequence[Fetch], sessions: Collection[date], *, after_close: bool = True
) -> dict[date, Fetch]:
    """Return, for each session that any good response of one symbol contains, the newest such response.

    Args:
        newest_first: requests for one symbol.
        sessions: the wanted sessions.
        after_close: whether only responses count that arrived after the session's market close.
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


def bar_lines(backend: Backend, response_key: str) -> dict[date | None, list[str]]:
    """Read the lines of a stored response by session; lines without a trading session are under None."""
    found: dict[date | None, list[str]] = {}
    for row in split_rows(backend.objects.get(response_key).decode()):
        found.setdefault(row.day if row.day is not None and is_session(row.day) else None, []).append(row.line)
    return found
