"""Find bars that are missing from the published table, and decide when to request each again.

Belongs here: comparing the published bars with the expected ones, from the ledger, the tables and the records of
rejected loads. Does not belong here: reading the published bars (`available_bars`), when a run is started (`catch_up`),
or requesting prices (`ingest`).

A quarantined bar is missing too: the vendor may correct it. A missing bar is requested again after growing delays,
counted from the requests in the ledger, whatever started them; after the last delay it is no longer requested
automatically. A bar that appears in a later response, or differs in it from the quarantined one, is loaded all the
same. A published bar outside every listing of its symbol is loaded again, so that the load quarantines it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import compress
from math import ceil
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Universe
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.coverage.available_bars import Quarantined, read_available_bars
from stock_assets.coverage.gaps import AT_ONCE, RETRY_DELAYS, SESSION, Coverage, Gap, in_order, sessions_of
from stock_assets.ingest.ledger_queries import bar_lines, newest_uses
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import format_late, format_unobtainable_range, history_shown
from stock_assets.loads.rejections import Rejection, current_rejections

SAME_ATTEMPT = timedelta(minutes=30)
"""Requests closer to each other are repetitions within one run and count as one attempt."""
SYMBOLS_AT_ONCE = 500
"""Symbols whose requests are read together: a million requests need a gigabyte."""

_OF_THE_UNIVERSE = frozenset({"symbol_was_listed", "only_trading_sessions"})
"""Audits that an expected bar does not fail: the universe or the calendar has changed since it was quarantined."""
_NOT_PUBLISHED = "stored, not published"


class _Requests(NamedTuple):
    """The requests for a symbol since the market close of a session, newest first.

    Attributes:
        all: every request.
        relevant: the requests that count as attempts, good responses without the bar included.
        response: newest good response of these, or None.
        attempts: number of attempts.
    """

    all: Sequence[Fetch]
    relevant: Sequence[Fetch]
    response: Fetch | None
    attempts: int


class _Missing(NamedTuple):
    """What is known about the missing bars of one symbol.

    Attributes:
        symbol: ticker.
        sessions: sessions without a published bar, in order.
        responses: the newest response of each session that has one.
        absent: sessions that no response has, in order.
        quarantined: bars in quarantine of sessions that a response has.
        since: the requests since the market close of the first session that needs them, newest first.
    """

    symbol: str
    sessions: tuple[date, ...]
    responses: Sequence[tuple[Fetch, Sequence[date]]]
    absent: tuple[date, ...]
    quarantined: Mapping[date, Quarantined]
    since: Sequence[Fetch]


def coverage(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Coverage:
    """Find the missing bars of some sessions.

    Args:
        parts: the pipeline.
        sessions: the sessions of interest, in order.
        at: now, aware, UTC.
    """
    if not sessions:
        return Coverage((), {})
    symbols = sorted(parts.universe.symbols)
    available = read_available_bars(parts.backend, symbols, sessions)
    listed = _listed(parts.universe, symbols, sessions)
    outside = _sessions_of_symbols(available.published & ~listed, symbols, sessions)
    missing = _sessions_of_symbols(listed & ~available.published, symbols, sessions)
    history = parts.source.available_history(at)
    gaps = [_outside_listings(symbol, days) for symbol, days in outside.items()]
    incomplete = list(missing)
    with parts.backend.ledger.read() as ledger:
        for start in range(0, len(incomplete), SYMBOLS_AT_ONCE):
            some = {symbol: missing[symbol] for symbol in incomplete[start : start + SYMBOLS_AT_ONCE]}
            for bars in _missing_bars(ledger, some, available.quarantined, history):
                gaps += _gaps_of_symbol(parts.backend, bars, history)
        rejected = current_rejections(parts, ledger, sessions_of(gaps))
        gaps = _with_quarantined(gaps, rejected, history, ledger)
    counts, share = parts.universe.listed_counts(sorted(sessions_of(gaps))), parts.limits.min_coverage
    may_miss = {session: max(0, count - ceil(share * count)) for session, count in counts.items()}
    return Coverage(in_order(gaps), rejected, may_miss)


def _listed(universe: Universe, symbols: Sequence[str], sessions: Sequence[date]) -> npt.NDArray[np.bool_]:
    """Return whether each symbol, a row, was listed in each session, a column."""
    listed = np.zeros((len(symbols), len(sessions)), np.bool_)
    for row, symbol in enumerate(symbols):
        for listing in universe.listings_of(symbol):
            start, end = listing.bounds(sessions)
            listed[row, start:end] = True
    return listed


def _sessions_of_symbols(
    bars: npt.NDArray[np.bool_], symbols: Sequence[str], sessions: Sequence[date]
) -> dict[str, tuple[date, ...]]:
    """Return the sessions of each symbol, a row, that has bars; symbols with the same sessions share one tuple."""
    shared: dict[bytes, tuple[date, ...]] = {}
    found: dict[str, tuple[date, ...]] = {}
    for row in np.flatnonzero(bars.any(axis=1)).tolist():
        flags = bars[row].tobytes()
        days = shared.get(flags) or shared.setdefault(flags, tuple(compress(sessions, flags)))
        found[symbols[row]] = days
    return found


def _outside_listings(symbol: str, sessions: tuple[date, ...]) -> Gap:
    reason = f"published, but outside every listing of {symbol} in the universe"
    return Gap(symbol, sessions, stored=True, retry_at=None, reason=reason)


def _missing_bars(
    ledger: LedgerTable,
    missing: Mapping[str, tuple[date, ...]],
    quarantined: Mapping[str, Mapping[date, Quarantined]],
    history: AvailableHistory | None,
) -> Iterator[_Missing]:
    """Read the ledger about the missing bars of some symbols, for all of them together."""
    responses, without = newest_uses(ledger, missing)
    doubtful = {one: set(quarantined[one]).intersection(missing[one]) for one in quarantined.keys() & missing}
    # No request counts for a session that is older than the available history.
    available_from = history.first if history is not None else date.min
    needed = {one: next((day for day in without[one] if day >= available_from), None) for one in missing}
    first = {one: min(filter(None, [needed[one], *doubtful.get(one, ())]), default=None) for one in missing}
    since = ledger.since(FetchKind.PRICES, {one: closing_time(day) for one, day in first.items() if day is not None})
    for symbol, sessions in missing.items():
        absent = tuple(without[symbol])
        in_quarantine = doubtful.get(symbol, set()).difference(absent)
        yield _Missing(
            symbol,
            sessions,
            responses.get(symbol, ()),
            sessions if len(absent) == len(sessions) else absent,
            {day: quarantined[symbol][day] for day in sorted(in_quarantine)},
            since.get(symbol, ()),
        )


def _gaps_of_symbol(backend: Backend, missing: _Missing, history: AvailableHistory | None) -> Iterator[Gap]:
    """Yield the gaps of a symbol."""
    for days, since_close in _by_requests(missing.absent, missing.since):
        yield from _gaps(missing.symbol, days, _requests(since_close), history)
    unchanged = list(_unchanged(backend, missing, history))
    yield from unchanged
    if len(missing.absent) < len(missing.sessions):
        others = {*missing.absent, *sessions_of(unchanged)}
        if stored := _without(missing.sessions, others):
            yield Gap(missing.symbol, stored, stored=True, retry_at=None, reason=_NOT_PUBLISHED)


def _unchanged(backend: Backend, missing: _Missing, history: AvailableHistory | None) -> Iterator[Gap]:
    """Yield a gap for each bar in quarantine that loading the newest response would not change."""
    doubtful = {day: bar for day, bar in missing.quarantined.items() if _OF_THE_UNIVERSE.isdisjoint(bar.reasons)}
    newest = {day: fetch for fetch, days in missing.responses for day in days if day in doubtful} if doubtful else {}
    for days, since_close in _by_requests(tuple(doubtful), missing.since):
        requests = _requests(since_close)
        for day in days:
            if _is_in_quarantine(backend, day, since_close, newest[day], doubtful[day]):
                yield from _gaps(missing.symbol, (day,), requests, history, doubtful[day])


def _without(sessions: tuple[date, ...], others: Collection[date]) -> tuple[date, ...]:
    return tuple(session for session in sessions if session not in others) if others else sessions


def _by_requests(
    sessions: tuple[date, ...], newest_first: Sequence[Fetch]
) -> Iterator[tuple[tuple[date, ...], Sequence[Fetch]]]:
    """Yield sessions with the same requests since their market close, and these requests."""
    start = 0
    while start < len(sessions):
        newest_first = _since_close(newest_first, sessions[start])
        oldest = newest_first[-1].fetched_at if newest_first else None
        end = len(sessions) if oldest is None else bisect_right(sessions, oldest, key=closing_time)
        yield sessions[start:end], newest_first
        start = end


def _since_close(newest_first: Sequence[Fetch], session: date) -> Sequence[Fetch]:
    """Return the requests since the market close of a session."""
    count, closed_at = len(newest_first), closing_time(session)
    while count and newest_first[count - 1].fetched_at < closed_at:
        count -= 1
    return newest_first if count == len(newest_first) else newest_first[:count]


def _requests(since_close: Sequence[Fetch]) -> _Requests:
    """Choose the requests that count as attempts."""
    relevant = [
        fetch
        for fetch in since_close
        # An exhausted daily quota is no statement about the bar, and neither is a landing file.
        if fetch.outcome is not Outcome.DAILY_QUOTA and not fetch.is_landing_file
    ]
    response = next((fetch for fetch in relevant if fetch.outcome is Outcome.OK), None)
    return _Requests(since_close, relevant, response, _attempts([fetch.fetched_at for fetch in relevant]))


def _with_quarantined(
    gaps: Sequence[Gap],
    rejected: Mapping[date, Rejection],
    history: AvailableHistory | None,
    ledger: LedgerTable,
) -> list[Gap]:
    """Return the gaps, in which a stored bar that a rejected load quarantined may be requested again."""
    bars = {session: rejection.quarantined.get(session.isoformat(), {}) for session, rejection in rejected.items()}
    stored: dict[date, list[str]] = {session: [] for session, found in bars.items() if found}
    for gap in gaps if stored else ():
        for session in stored.keys() & gap.sessions if gap.stored else ():
            if bars[session].get(gap.symbol):
                stored[session].append(gap.symbol)
    changed: dict[str, list[Gap]] = {}
    for session, symbols in stored.items():
        for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
            some = symbols[start : start + SYMBOLS_AT_ONCE]
            since = ledger.since(FetchKind.PRICES, dict.fromkeys(some, closing_time(session)))
            for symbol in some:
                quarantined = Quarantined("", bars[session][symbol])
                requests = _requests(since.get(symbol, ()))
                changed.setdefault(symbol, []).extend(_gaps(symbol, (session,), requests, history, quarantined))
    return [*_others(gaps, changed), *(gap for found in changed.values() for gap in found)]


def _others(gaps: Iterable[Gap], changed: Mapping[str, Sequence[Gap]]) -> Iterator[Gap]:
    """Yield the gaps without the stored bars of changed ones."""
    for gap in gaps:
        if not gap.stored or gap.symbol not in changed:
            yield gap
        elif sessions := _without(gap.sessions, sessions_of(changed[gap.symbol])):
            yield gap._replace(sessions=sessions)


def _is_in_quarantine(
    backend: Backend, session: date, since_close: Sequence[Fetch], newest: Fetch, quarantined: Quarantined
) -> bool:
    """Return whether the bar of the newest response is the quarantined one, so that loading it changes nothing."""
    if newest.response_key == quarantined.response_key:
        return True
    # An equal bar of a response from before the market close is in quarantine for this reason alone.
    earlier = next((fetch for fetch in since_close if fetch.response_key == quarantined.response_key), None)
    return earlier is not None and bar_lines(backend, newest, [session]) == bar_lines(backend, earlier, [session])


def _gaps(
    symbol: str,
    sessions: tuple[date, ...],
    requests: _Requests,
    history: AvailableHistory | None,
    quarantined: Quarantined | None = None,
) -> Iterator[Gap]:
    """Yield the gaps of bars that no response has, or only as quarantined: whether and when to request them, and why.

    Args:
        symbol: ticker.
        sessions: sessions with the same requests since their market close, in order.
        requests: these requests.
        history: what the vendor can return.
        quarantined: what audits found, if the bar of the only session is in quarantine.
    """
    why = f"{quarantined}, and " if quarantined else ""
    audits = tuple(sorted(quarantined.reasons)) if quarantined else ()
    start = bisect_left(sessions, history.first) if history else 0
    if start:
        reason = f"{why}{_format_unobtainable(history)}"
        yield Gap(
            symbol, sessions[:start], stored=False, retry_at=None, reason=reason, unobtainable=True, audits=audits
        )
    sessions = sessions[start:]
    if not sessions:
        return
    if not requests.relevant:
        reason = str(quarantined or _why_not_requested(requests.all))
        yield Gap(symbol, sessions, stored=False, retry_at=AT_ONCE, reason=reason, audits=audits)
        return
    requested = f"(requested {'once' if requests.attempts == 1 else f'{requests.attempts} times'})"
    for days, outcome, found in _why_missing(sessions, requests, history):
        unobtainable = outcome is Outcome.UNOBTAINABLE
        reason = (f"{why}{found}" if unobtainable else str(quarantined)) if quarantined else found
        ended = unobtainable or requests.attempts > len(RETRY_DELAYS)
        yield Gap(
            symbol,
            days,
            stored=False,
            retry_at=None if ended else requests.relevant[0].fetched_at + RETRY_DELAYS[requests.attempts - 1],
            reason=f"{reason} {requested}" if ended else reason,
            requests=requests.attempts,
            unobtainable=unobtainable,
            audits=audits,
        )


def _format_unobtainable(history: AvailableHistory | None) -> str:
    return format_unobtainable_range(SESSION, SESSION, 1, history)


def _why_not_requested(since_close: Sequence[Fetch]) -> str:
    newest = next((fetch for fetch in since_close if not fetch.is_landing_file), None)
    if newest and newest.outcome is Outcome.DAILY_QUOTA:
        return newest.detail
    return "not requested since the market close"


def _why_missing(
    sessions: tuple[date, ...], requests: _Requests, history: AvailableHistory | None
) -> Iterator[tuple[tuple[date, ...], Outcome, str]]:
    """Yield why the newest good response, or else the newest request, did not deliver bars; OK if it did.

    Args:
        sessions: sessions of the available history, in order.
        requests: the requests since their market close.
        history: what the vendor can return.
    """
    response = requests.response
    if response is None:
        newest = requests.relevant[0]
        yield sessions, newest.outcome, newest.detail
        return
    start = bisect_left(sessions, response.first_session or date.min)
    if too_old := sessions[:start]:
        yield too_old, Outcome.UNOBTAINABLE, _format_unobtainable(history_shown(response, history))
    held = tuple(session for session in sessions[start:] if response.holds(session))
    if held:
        yield held, Outcome.OK, ""
    if late := _without(sessions[start:], held):
        yield late, Outcome.LATE, format_late(SESSION)


def _attempts(newest_first: Collection[datetime]) -> int:
    """Count the attempts; requests shortly after one another are one attempt."""
    count, begun = 0, None
    for requested_at in sorted(newest_first):
        if begun is None or requested_at - begun >= SAME_ATTEMPT:
            count, begun = count + 1, requested_at
    return count
