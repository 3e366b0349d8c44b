"""Queries of the ledger: which stored response contains which bar, which splits are known.

Belongs here: reading the ledger and the stored responses. Does not belong here: requesting more (`price_requests`,
`split_requests`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.ledger_table import Entry, LedgerTable
from stock_assets.backends.stored_responses import read_response, read_responses_together
from stock_assets.core.bounded_cache import remember
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import DamagedResponses, Outcome
from stock_assets.core.universe import Listing, Universe
from stock_assets.core.vendor_facts import AvailableHistory, Split
from stock_assets.ingest.parts import PipelineParts
from stock_assets.sources.raw_format import split_rows

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_SPLITS = 100_000
_parsed_splits: dict[tuple[type, str, str], list[Split]] = {}
"""The splits in bodies that this process has read, by class of the source, symbol and hash of the body."""
_MOST_RESPONSES = 100_000
_read_lines: dict[tuple[str, str], dict[date, list[str]]] = {}
"""The lines of sessions that this process has read, by key and hash of the response."""

_Use = tuple[Fetch, list[date]]
"""A response, and the sessions for which it counts."""


def known_splits(parts: PipelineParts) -> dict[str, list[Split]]:
    """Return the splits of every symbol, read from its newest good response.

    Raises:
        DamagedResponses: such a response is missing, or differs from its checksum.
    """
    with parts.backend.ledger.read() as ledger:
        latest = ledger.latest(FetchKind.SPLITS)
    newest = {symbol: good for symbol, fetches in latest.items() if (good := newest_good(fetches))}
    bodies = _unread_bodies(parts, newest)
    return {symbol: _splits(parts, symbol, fetch, bodies) for symbol, fetch in newest.items()}


def forget_splits() -> None:
    """Read stored splits again in this process: their files may have been damaged since."""
    _parsed_splits.clear()


def _unread_bodies(parts: PipelineParts, newest: Mapping[str, Fetch]) -> dict[str, bytes]:
    """Read the responses that this process has not read yet, those that can be read together."""
    unread = [fetch for symbol, fetch in newest.items() if _parsed_key(parts, symbol, fetch) not in _parsed_splits]
    return read_responses_together(parts.backend.objects, FetchKind.SPLITS, unread)


def _parsed_key(parts: PipelineParts, symbol: str, fetch: Fetch) -> tuple[type, str, str]:
    return type(parts.source), symbol, fetch.content_hash


def _splits(parts: PipelineParts, symbol: str, fetch: Fetch, bodies: Mapping[str, bytes]) -> list[Split]:
    """Parse a response, once in this process.

    Args:
        parts: the pipeline.
        symbol: symbol of the response.
        fetch: the response.
        bodies: undamaged bodies by key; one that is not there is read.
    """
    key = _parsed_key(parts, symbol, fetch)
    if fetch.content_hash and key in _parsed_splits:
        return _parsed_splits[key]
    body = bodies.get(fetch.response_key)
    found = parts.source.read_splits(_splits_body(parts.backend, fetch) if body is None else body, symbol)
    return remember(_parsed_splits, key, found, most=_MOST_SPLITS)


def _splits_body(backend: Backend, fetch: Fetch) -> bytes:
    try:
        return read_response(backend.objects, fetch)
    except DamagedResponses as error:
        why = error.damage[fetch.response_key]
        raise DamagedResponses(
            error.damage,
            f"staged/daily_prices: the stored splits of {fetch.symbol} are damaged ({fetch.response_key}: {why}), so "
            "the load was not published. Run the same sessions again: raw/splits requests them again. Or restore the "
            "file from a backup.",
        ) from None


def newest_intact_splits(parts: PipelineParts, newest_first: Mapping[str, Iterable[Fetch]]) -> dict[str, Fetch | None]:
    """Return the newest good response with splits of each symbol, or None if there is none, or it is damaged."""
    found = {symbol: newest_good(fetches) for symbol, fetches in newest_first.items()}
    bodies = _unread_bodies(parts, {symbol: good for symbol, good in found.items() if good})
    for symbol, good in found.items():
        try:
            if good is not None:
                _splits(parts, symbol, good, bodies)
        except DamagedResponses:
            found[symbol] = None
    return found


def newest_good(newest_first: Iterable[Fetch]) -> Fetch | None:
    """Return the newest request that the vendor answered as wanted, or None."""
    for fetch in newest_first:
        if fetch.outcome is Outcome.OK:
            return fetch
    return None


def responses_for(backend: Backend, sessions: Iterable[date]) -> list[Fetch]:
    """Return the stored responses that contain the newest bar of every symbol and requested session, and no others.

    Symbols that have left the universe are included: it must be possible to stage their published history again.
    """
    with backend.ledger.read() as ledger:
        used = staged_responses(ledger, sorted(set(sessions)))
    responses: list[Fetch] = []
    for uses in used.values():
        of_symbol = [fetch for fetch, _ in uses]
        # One that has bars from before and after a market close is there twice.
        responses += of_symbol if len(of_symbol) == 1 else dict.fromkeys(of_symbol)
    return responses


def staged_responses(ledger: LedgerTable, sessions: Sequence[date]) -> dict[str, list[_Use]]:
    """Return the responses that staging reads for some sessions, each with the sessions it is read for, by symbol.

    A response counts for a session if it arrived after the market close. If only an earlier response contains the
    session, it is returned too, so that the audit `session_closed_at_fetch` quarantines the bar visibly.
    """
    newest = ledger.newest(FetchKind.PRICES)
    wanted = {symbol: list(sessions) for symbol in newest}
    used = _take(ledger, wanted, newest)
    remaining = {symbol: sessions for symbol, sessions in wanted.items() if sessions}
    for symbol, early in _take(ledger, remaining, newest, after_close=False).items():
        used.setdefault(symbol, []).extend(early)
    return dict(sorted(used.items()))


def _take(
    ledger: LedgerTable,
    wanted: Mapping[str, list[date]],
    newest: Mapping[str, Entry] | None = None,
    *,
    after_close: bool = True,
) -> dict[str, list[_Use]]:
    """Return the newest responses of each symbol with wanted sessions, newest first, and remove these sessions.

    A session that had not closed when a newer response arrived has no complete bar in an older one: the clock was ahead
    when the older one arrived.

    Args:
        ledger: the ledger; each statement reads the next response of all symbols whose sessions are not found yet.
        wanted: the sessions of each symbol, in order.
        newest: what `LedgerTable.newest` returned for the prices of the symbols; by default it is read.
        after_close: whether a response only counts for sessions whose market had closed when it arrived.
    """
    used: dict[str, list[_Use]] = {}
    opened: dict[str, set[date]] = {}
    entries = ledger.newest_responses(wanted, newest)
    while entries:
        for symbol, (fetch, _) in entries.items():
            held = take_held(fetch, wanted[symbol], after_close=after_close, opened=opened.get(symbol, ()))
            if held and symbol in used:
                used[symbol].append((fetch, held))
            elif held:
                used[symbol] = [(fetch, held)]
            if after_close and (not_closed := fetch.open_sessions):
                opened.setdefault(symbol, set()).update(not_closed)
        entries = ledger.older_responses(entries, wanted)
    return used


def take_held(
    fetch: Fetch, wanted: list[date], *, after_close: bool = True, opened: Collection[date] = ()
) -> list[date]:
    """Remove the sessions that a response contains from a list of wanted sessions, and return them.

    Args:
        fetch: a good response.
        wanted: sessions, in order.
        after_close: whether the response only counts for sessions whose market had closed when it arrived.
        opened: sessions for which the response does not count, because they had not closed when a newer one arrived.
    """
    if fetch.first_session is None or fetch.last_session is None:
        return []
    start, end = bisect_left(wanted, fetch.first_session), bisect_right(wanted, fetch.last_session)
    while after_close and end > start and closing_time(wanted[end - 1]) > fetch.fetched_at:
        end -= 1
    inside = wanted[start:end]
    if not fetch.missing_sessions and not opened:
        del wanted[start:end]
        return inside
    absent = {*fetch.missing_sessions, *opened}
    wanted[start:end] = [session for session in inside if session in absent]
    return [session for session in inside if session not in absent]


def fetches_for_responses(backend: Backend, response_keys: Iterable[str]) -> list[Fetch]:
    """Return the fetches that stored these responses, newest first."""
    with backend.ledger.read() as ledger:
        found = ledger.with_keys(response_keys, FetchKind.PRICES)
    # A landing file that two runs read at the same time has two ledger entries.
    return list({fetch.response_key: fetch for fetch in found if fetch.outcome is Outcome.OK}.values())


def missing_sessions(
    ledger: LedgerTable, wanted: Mapping[str, Iterable[date]], newest: Mapping[str, Entry] | None = None
) -> dict[str, tuple[date, ...]]:
    """Return each symbol's wanted sessions, in order, that no response fetched after their market close contains.

    Args:
        ledger: the ledger.
        wanted: the sessions of each symbol.
        newest: what `LedgerTable.newest` returned for the prices of the symbols; by default it is read.
    """
    remaining = {symbol: sorted(set(sessions)) for symbol, sessions in wanted.items()}
    _take(ledger, remaining, newest)
    return {symbol: tuple(sessions) for symbol, sessions in remaining.items()}


def newest_uses(
    ledger: LedgerTable, wanted: Mapping[str, Iterable[date]]
) -> tuple[dict[str, list[_Use]], dict[str, list[date]]]:
    """Return the newest responses of each symbol with the sessions of each, and the sessions that none contains.

    Only responses that were fetched after the market close count. A symbol without one is missing from the first
    dictionary.
    """
    remaining = {symbol: sorted(set(sessions)) for symbol, sessions in wanted.items()}
    return _take(ledger, remaining), remaining


def newest_responses(ledger: LedgerTable, wanted: Mapping[str, Iterable[date]]) -> dict[str, dict[date, Fetch]]:
    """Return the newest response, fetched after the market close, of each symbol and session that has one."""
    used, _ = newest_uses(ledger, wanted)
    return {symbol: {session: fetch for fetch, held in uses for session in held} for symbol, uses in used.items()}


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


def listings(parts: PipelineParts) -> "pa.Table":
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


def bar_lines(backend: Backend, fetch: Fetch, sessions: Iterable[date]) -> dict[date, list[str]]:
    """Return the lines of some sessions in a stored response, which this process reads once for these sessions."""
    key, wanted = (fetch.response_key, fetch.content_hash), list(sessions)
    known = _read_lines.get(key, {})
    if not known.keys() >= set(wanted):
        found: dict[date, list[str]] = {session: [] for session in wanted}
        for row in split_rows(backend.objects.get(fetch.response_key).decode()):
            if row.day in found:
                found[row.day].append(row.line)
        known = remember(_read_lines, key, known | found, most=_MOST_RESPONSES)
    return {session: known[session] for session in wanted}
