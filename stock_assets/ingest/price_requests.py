"""Request the missing prices of each symbol, and report which sessions are still missing.

Belongs here: which symbols to request, and in which order. Does not belong here: sending and retrying requests
(`requester`), HTTP (`sources.transport`), what is stored (`ledger_queries`), when splits are due (`split_requests`),
Dagster (`orchestration.assets`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import closing_time, format_ranges, next_session, split_by_close
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import NothingFetched, Outcome, SessionNotClosed
from stock_assets.core.text import plural, shorten_list
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.ingest.counted_calls import Sleep
from stock_assets.ingest.ledger_queries import before_available_history, missing_sessions
from stock_assets.ingest.outcomes import REMEDY, Reason, group_reasons
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import Request, Requester, RequestResult
from stock_assets.ingest.response_reader import ResponseReader
from stock_assets.sources.interface import PriceSource

_SESSIONS_SHOWN = 5
_SYMBOLS_SHOWN = 10
_REASONS_SHOWN = 5
_CLOSURE = ". If the exchange was closed on short notice, add the day to STOCK_ASSETS_CLOSURES"

# A new request may fail in the same way or be slow, so these symbols come after the others.
_LASTING = frozenset({Outcome.UNKNOWN_SYMBOL, Outcome.NOT_ENTITLED, Outcome.UNREACHABLE, Outcome.UNRECOGNISED})


@dataclass(frozen=True)
class SymbolResult:
    """The result of a run for one symbol.

    Attributes:
        symbol: ticker.
        outcome: OK when every wanted session is stored; LATE when the response does not contain all of them;
            UNOBTAINABLE when every missing session is older than the available history; else why the request failed.
        wanted: requested sessions on which the symbol was listed.
        missing: wanted sessions that no stored response contains.
        calls: calls used by this run.
        detail: one line for people.
        postponed: whether the symbol was not requested because the time of the run had ended.
    """

    symbol: str
    outcome: Outcome
    wanted: tuple[date, ...]
    missing: tuple[date, ...] = ()
    calls: int = 0
    detail: str = ""
    postponed: bool = False


@dataclass(frozen=True)
class RequestRules:
    """The requests that a run may send.

    Attributes:
        symbols: symbols that may be requested, or None for all symbols with missing sessions.
        reserve_calls: calls of the quota day that stay reserved for a later run.
        again: symbols that are requested also if all their sessions are stored; the newest response is used then.
        until: timestamp after which no request begins, or None.
    """

    symbols: frozenset[str] | None = None
    reserve_calls: int = 0
    again: frozenset[str] = frozenset()
    until: datetime | None = None

    def allows(self, symbol: str) -> bool:
        """Return whether a symbol may be requested."""
        return self.symbols is None or symbol in self.symbols or symbol in self.again


ALL_MISSING = RequestRules()
"""Request all missing sessions, as long as calls remain."""


class _SymbolSessions(NamedTuple):
    """One symbol before a run: the wanted sessions, the missing ones, and those that the vendor can return.

    `requestable` contains only missing sessions, unless the symbol is requested again.
    """

    symbol: str
    wanted: tuple[date, ...]
    missing: tuple[date, ...]
    requestable: tuple[date, ...]


def fetch_prices(
    parts: PipelineParts,
    sessions: Sequence[date],
    *,
    rules: RequestRules = ALL_MISSING,
    now: Clock = utc_now,
    sleep: Sleep = time.sleep,
) -> list[SymbolResult]:
    """Request the missing bars of some sessions, and the symbols that the rules request again, at most once per symbol.

    Symbols missing longest are requested first, so that a quota that does not suffice goes where it is worth most.

    Args:
        parts: the pipeline.
        sessions: sessions to store; those that have not closed are left out.
        rules: symbols that may be requested, those to request again, and calls to reserve.
        now: the clock.
        sleep: waits between requests.

    Raises:
        SessionNotClosed: none of the sessions has closed yet.
    """
    backend, source = parts.backend, parts.source
    started = now()
    sessions, _ = closed_sessions(sessions, started)
    available = source.available_history(started)
    with backend.ledger.read() as ledger:
        all_symbols = _compare_all(parts, ledger, sessions, rules, available)
        latest = ledger.latest(FetchKind.PRICES, parts.universe.symbols)
        queue = sorted(
            (symbol for symbol in all_symbols if symbol.requestable and rules.allows(symbol.symbol)),
            key=lambda symbol: _priority(ledger, symbol, latest.get(symbol.symbol, [])),
        )
        requester = Requester(backend, source, now=now, sleep=sleep, reserve=rules.reserve_calls, until=rules.until)
        newest = {symbol: fetches[0].fetched_at for symbol, fetches in latest.items()}
        results = _request_and_settle(requester, source, queue, ResponseReader(parts, ledger), newest, sleep)
    postponed = {symbol.symbol for symbol in queue} - results.keys()
    return [
        _postponed(symbol)
        if symbol.symbol in postponed
        else _result(symbol, results.get(symbol.symbol), available)
        if rules.allows(symbol.symbol)
        else _not_requested(symbol, latest.get(symbol.symbol, []))
        for symbol in all_symbols
    ]


def closed_sessions(sessions: Sequence[date], at: datetime) -> tuple[list[date], str]:
    """Return the sessions that have closed by a timestamp, and a message about the others; empty if there are none.

    Raises:
        SessionNotClosed: none of the sessions has closed yet.
    """
    closed, waiting = split_by_close(sessions, at, closing_time)
    problem = f"raw/daily_prices: {waiting}" if waiting else ""
    if problem and not closed:
        raise SessionNotClosed(problem)
    return closed, problem


def symbols_to_request(parts: PipelineParts, sessions: Sequence[date], rules: RequestRules, at: datetime) -> list[str]:
    """Return the symbols that `fetch_prices` would request, in the order of the universe."""
    with parts.backend.ledger.read() as ledger:
        compared = _compare_all(parts, ledger, sessions, rules, parts.source.available_history(at))
    return [symbol.symbol for symbol in compared if symbol.requestable and rules.allows(symbol.symbol)]


def _compare_all(
    parts: PipelineParts,
    ledger: LedgerTable,
    sessions: Sequence[date],
    rules: RequestRules,
    available: AvailableHistory | None,
) -> list[_SymbolSessions]:
    ordered = sorted(set(sessions))
    wanted = {symbol: parts.universe.listed_sessions(symbol, ordered) for symbol in parts.universe.symbols}
    missing = missing_sessions(ledger, wanted)
    compared = [_compare(symbol, wanted[symbol], missing[symbol], available) for symbol in parts.universe.symbols]
    return [_again(one, available) if one.symbol in rules.again else one for one in compared]


def _compare(
    symbol: str, wanted: tuple[date, ...], missing: tuple[date, ...], available: AvailableHistory | None
) -> _SymbolSessions:
    too_old = set(before_available_history(missing, available)) if missing else ()
    requestable = tuple(session for session in missing if session not in too_old) if too_old else missing
    return _SymbolSessions(symbol, wanted, missing, requestable)


def _again(symbol: _SymbolSessions, available: AvailableHistory | None) -> _SymbolSessions:
    """Return the symbol with all wanted sessions that the vendor can return as requestable."""
    too_old = set(before_available_history(symbol.wanted, available))
    return symbol._replace(requestable=tuple(session for session in symbol.wanted if session not in too_old))


def _priority(ledger: LedgerTable, symbol: _SymbolSessions, latest: Sequence[Fetch]) -> tuple[bool, bool, date]:
    """Return the sort key: symbols whose last request did not fail, then those with missing bars, missing longest."""
    requested = next((fetch for fetch in latest if fetch.calls), None)
    lasting_failure = requested is not None and requested.outcome in _LASTING
    return lasting_failure, not symbol.missing, min(symbol.requestable[0], _stored_until(ledger, symbol, latest))


def _stored_until(ledger: LedgerTable, symbol: _SymbolSessions, latest: Sequence[Fetch]) -> date:
    """Return the session after the last stored one (no earlier than the missing ones, if a later one is stored)."""
    newest = max((fetch.last_session for fetch in latest if fetch.last_session is not None), default=date.min)
    if newest > date.min and next_session(newest) >= symbol.requestable[0]:
        return next_session(newest)
    # An older response, such as a landing file, may contain later sessions.
    later = ledger.responses(symbol.symbol, [newest + timedelta(days=1), date.max])
    newest = max((fetch.last_session for fetch in later if fetch.last_session is not None), default=newest)
    return next_session(newest) if newest > date.min else date.min


def _request_and_settle(
    requester: Requester,
    source: PriceSource,
    queue: Sequence[_SymbolSessions],
    reader: ResponseReader,
    newest: Mapping[str, datetime],
    sleep: Sleep,
) -> dict[str, RequestResult]:
    """Send the requests; repeat those whose responses were rejected only when all had arrived, once."""
    results: dict[str, RequestResult] = {}
    rejected: set[str] = set()
    for _ in range(min(2, source.terms.attempts)):
        requests = [
            _request(source, symbol, reader, newest.get(symbol.symbol))
            for symbol in queue
            if not results or symbol.symbol in rejected
        ]
        for symbol, result in requester.request_all(requests).items():
            before = results.get(symbol)
            # A repeated request that could not be sent keeps the reason of the first one.
            if before is None or result.calls:
                results[symbol] = RequestResult(result.fetch, result.calls + (before.calls if before else 0))
        settled = reader.settle()
        results |= {symbol: replace(results[symbol], fetch=fetch) for symbol, fetch in settled.items()}
        rejected = {symbol for symbol, fetch in settled.items() if fetch.outcome is not Outcome.OK}
        if not rejected:
            break
        sleep(source.terms.first_pause_seconds)
    return results


def _request(source: PriceSource, symbol: _SymbolSessions, reader: ResponseReader, after: datetime | None) -> Request:
    return Request(
        symbol.symbol,
        FetchKind.PRICES,
        send=lambda: source.fetch_prices(symbol.symbol, symbol.requestable),
        read=lambda body, response_key, arrived: reader.read(symbol.symbol, body, response_key, arrived),
        after=after,
    )


def _result(
    sessions: _SymbolSessions, result: RequestResult | None, available: AvailableHistory | None
) -> SymbolResult:
    symbol, wanted = sessions.symbol, sessions.wanted
    if result is None:
        if not sessions.missing:
            return _complete(sessions)
        detail = format_unobtainable(sessions.missing, available)
        return SymbolResult(symbol, Outcome.UNOBTAINABLE, wanted, sessions.missing, detail=detail)
    fetch = result.fetch
    if fetch.outcome is not Outcome.OK:
        return SymbolResult(symbol, fetch.outcome, wanted, sessions.missing, calls=result.calls, detail=fetch.detail)
    missing = tuple(session for session in sessions.missing if not fetch.holds(session))
    outcome, detail = classify_missing(missing, fetch, available)
    return SymbolResult(symbol, outcome, wanted, missing, calls=result.calls, detail=detail or fetch.detail)


def _postponed(sessions: _SymbolSessions) -> SymbolResult:
    """Return the result of a symbol that was not requested before the end of the run's time."""
    detail = "not requested yet: the time of this run has ended"
    return SymbolResult(sessions.symbol, Outcome.LATE, sessions.wanted, sessions.missing, detail=detail, postponed=True)


def _not_requested(sessions: _SymbolSessions, fetches: Sequence[Fetch]) -> SymbolResult:
    """Return the result of a symbol that the rules of this run exclude."""
    if not sessions.missing:
        return _complete(sessions)
    failed = fetches[0] if fetches and fetches[0].outcome is not Outcome.OK else None
    outcome, why = (failed.outcome, f": {failed.detail}") if failed else (Outcome.LATE, "")
    detail = f"not requested in this run{why}"
    return SymbolResult(sessions.symbol, outcome, sessions.wanted, sessions.missing, detail=detail)


def _complete(sessions: _SymbolSessions) -> SymbolResult:
    detail = "already stored" if sessions.wanted else "not listed in these sessions"
    return SymbolResult(sessions.symbol, Outcome.OK, sessions.wanted, detail=detail)


def fail_if_nothing_fetched(results: Sequence[SymbolResult]) -> None:
    """Raise `NothingFetched` if no wanted bar is stored; the message states each reason once, the root cause first."""
    wanted = [result for result in results if result.wanted]
    if not wanted or any(len(result.missing) < len(result.wanted) for result in wanted):
        return
    reasons = group_reasons((result.symbol, result.outcome, result.detail) for result in wanted)
    lines = list(map(_format_reason, reasons[:_REASONS_SHOWN]))
    sessions = sorted({session for result in wanted for session in result.wanted})
    more = len(reasons) - len(lines)
    raise NothingFetched(
        f"raw/daily_prices: no bar of {format_ranges(sessions)} could be fetched for any of "
        + "; ".join([f"{plural(len(wanted), 'symbol')}. {lines[0]}", *lines[1:]])
        + (f"; and {plural(more, 'other reason')}" if more else "")
        + (_CLOSURE if all(reason.outcome is Outcome.LATE for reason in reasons) else "")
    )


def _format_reason(reason: Reason) -> str:
    symbols = shorten_list(reason.symbols, _SYMBOLS_SHOWN)
    if reason.is_consequence:
        return f"{symbols}: {reason.detail}"
    return f"{symbols}: {reason.outcome}, {reason.detail}. What to do: {REMEDY[reason.outcome]}"


def classify_missing(missing: Sequence[date], newest: Fetch, available: AvailableHistory | None) -> tuple[Outcome, str]:
    """Return why a good response does not contain some of the wanted sessions.

    Returns:
        OK and an empty text if nothing is missing; LATE if a bar may still arrive; else UNOBTAINABLE; with one line for
        people.
    """
    # The vendor has nothing before the first bar of a response, whatever history was expected.
    first = newest.first_session or date.min
    unavailable = set(before_available_history(missing, available))
    late = [session for session in missing if session >= first and session not in unavailable]
    too_old = [session for session in missing if session not in late]
    parts = []
    if late:
        parts.append(format_late(shorten_list(list(map(str, late)), _SESSIONS_SHOWN)))
    if too_old:
        parts.append(format_unobtainable(too_old, history_shown(newest, available)))
    outcome = Outcome.LATE if late else Outcome.UNOBTAINABLE if too_old else Outcome.OK
    return outcome, "; ".join(parts)


def history_shown(response: Fetch, available: AvailableHistory | None) -> AvailableHistory:
    """Return the available history, or what a response shows of it: the vendor has nothing before its first bar."""
    return available or AvailableHistory(response.first_session or date.min, "set first_session in the universe file")


def format_late(sessions: str) -> str:
    """Format that the vendor has no bar of some sessions yet."""
    return f"the vendor has no bar yet of {sessions}"


def format_unobtainable(sessions: Sequence[date], available: AvailableHistory | None) -> str:
    """Format the range of sessions that the vendor cannot return, and why."""
    first, last = min(sessions), max(sessions)
    return format_unobtainable_range(str(first), str(last), len(sessions), available)


def format_unobtainable_range(first: str, last: str, count: int, available: AvailableHistory | None) -> str:
    """Format a range of sessions that the vendor cannot return, its bounds as texts, and why."""
    why = f": the vendor's history starts on {available.first}; {available.why}" if available else ""
    return f"{first} to {last} ({plural(count, 'session')}) cannot be fetched{why}"
