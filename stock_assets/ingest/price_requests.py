"""Which symbol needs a request for which sessions, and what the answers leave missing.

Belongs here: what to ask prices for, and in which order. Does not belong here: making and repeating requests
(`calls`), HTTP (`http`), what is stored (`stored`), when splits are due (`split_refresh`), Dagster (`assets`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import closing_time, next_session
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome, SessionNotClosed
from stock_assets.core.universe import Listing
from stock_assets.ingest.ledger_queries import before_available_history, group_by_symbol, missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import Request, Requester, RequestResult, Sleep
from stock_assets.ingest.response_reader import PriceReader, price_reader
from stock_assets.sources.interface import AvailableHistory, PriceSource

_SHOWN_SESSIONS = 5

# Requester again for these gives the same again, more likely than not: they come after the others.
_LASTING = frozenset({Outcome.UNKNOWN_SYMBOL, Outcome.NOT_ENTITLED})


@dataclass(frozen=True)
class SymbolResult:
    """How one symbol stands after a run over some sessions.

    Attributes:
        symbol: ticker.
        outcome: OK when every wanted session is stored; LATE when the answer came without some of them;
            UNOBTAINABLE when all that is missing is further back than answers reach; else why.
        wanted: sessions asked for on which the symbol was listed.
        missing: those of them no stored answer has.
        calls: requests made in this run.
        detail: one line for people.
    """

    symbol: str
    outcome: Outcome
    wanted: tuple[date, ...]
    missing: tuple[date, ...] = ()
    calls: int = 0
    detail: str = ""


@dataclass(frozen=True)
class RequestRules:
    """What a run may ask for.

    Attributes:
        symbols: those that may be asked, or None for all that miss something.
        reserve_calls: calls of the quota day left untaken, for a run to come.
    """

    symbols: frozenset[str] | None = None
    reserve_calls: int = 0

    def allows(self, symbol: str) -> bool:
        """Tell whether a symbol may be asked."""
        return self.symbols is None or symbol in self.symbols


ALL_MISSING = RequestRules()
"""Ask for whatever is missing, as long as there are calls."""


@dataclass(frozen=True)
class _Need:
    """What one symbol lacks before a run: of the sessions wanted those missing, and of these those worth asking for."""

    symbol: str
    wanted: tuple[date, ...]
    missing: tuple[date, ...]
    askable: tuple[date, ...]


def fetch_prices(
    parts: PipelineParts,
    sessions: Sequence[date],
    *,
    rules: RequestRules = ALL_MISSING,
    now: Clock = utc_now,
    sleep: Sleep = time.sleep,
) -> list[SymbolResult]:
    """Request the missing bars of some sessions, with at most one response per symbol.

    Symbols missing longest are requested first, so that a quota that does not suffice goes where it is worth most.

    Args:
        parts: the pipeline.
        sessions: sessions to store.
        rules: symbols that may be requested, and calls to reserve.
        now: the clock.
        sleep: waits between requests.

    Raises:
        SessionNotClosed: a session has not closed yet.
    """
    backend, source = parts.backend, parts.source
    started = now()
    early = [session for session in sessions if closing_time(session) > started]
    if early:
        raise SessionNotClosed(
            f"raw/daily_prices: session {early[0]} closes at {closing_time(early[0]):%Y-%m-%d %H:%M} UTC; "
            "materialize it after that"
        )
    reach = source.available_history(started)
    stored = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES))
    needs = [_need(listing, sessions, stored.get(listing.symbol, []), reach) for listing in parts.universe.listings]
    reader = price_reader(source, stored)
    line = sorted(
        (need for need in needs if need.askable and rules.allows(need.symbol)),
        key=lambda need: _value(need, stored.get(need.symbol, [])),
    )
    vendor = Requester(backend, source, now=now, sleep=sleep, reserve=rules.reserve_calls)
    asked = vendor.request_all(_question(source, need, reader) for need in line)
    return [
        _result(need, asked.get(need.symbol), reach)
        if rules.allows(need.symbol)
        else _left_alone(need, stored.get(need.symbol, []))
        for need in needs
    ]


def _need(
    listing: Listing, sessions: Sequence[date], fetches: Sequence[Fetch], reach: AvailableHistory | None
) -> _Need:
    wanted = tuple(session for session in sessions if listing.covers(session))
    missing = missing_sessions(wanted, fetches)
    too_old = set(before_available_history(missing, reach))
    return _Need(listing.symbol, wanted, missing, tuple(session for session in missing if session not in too_old))


def _value(need: _Need, fetches: Sequence[Fetch]) -> tuple[bool, date]:
    """Sort the most valuable first: not refused for good the last time, then missing longest."""
    refused = bool(fetches) and fetches[0].outcome in _LASTING
    newest = max((fetch.last_session for fetch in fetches if fetch.last_session is not None), default=None)
    since = next_session(newest) if newest is not None else date.min
    return refused, min(need.askable[0], since)


def _question(source: PriceSource, need: _Need, reader: PriceReader) -> Request:
    return Request(
        need.symbol,
        FetchKind.PRICES,
        send=lambda: source.fetch_prices(need.symbol, need.askable),
        read=lambda body, response_key, arrived: reader(need.symbol, body, response_key, arrived),
    )


def _result(need: _Need, asked: RequestResult | None, reach: AvailableHistory | None) -> SymbolResult:
    symbol, wanted = need.symbol, need.wanted
    if not need.missing:
        return SymbolResult(symbol, Outcome.OK, wanted, detail="already stored" if wanted else "not listed then")
    if asked is None:
        return SymbolResult(
            symbol, Outcome.UNOBTAINABLE, wanted, need.missing, detail=format_unobtainable(need.missing, reach)
        )
    fetch = asked.fetch
    if fetch.outcome is not Outcome.OK:
        return SymbolResult(symbol, fetch.outcome, wanted, need.missing, calls=asked.calls, detail=fetch.detail)
    missing = tuple(session for session in need.missing if not fetch.holds(session))
    outcome, detail = classify_missing(missing, fetch, reach)
    return SymbolResult(symbol, outcome, wanted, missing, calls=asked.calls, detail=detail or fetch.detail)


def _left_alone(need: _Need, fetches: Sequence[Fetch]) -> SymbolResult:
    """Say how a symbol stands that this run was told not to ask."""
    if not need.missing:
        return SymbolResult(
            need.symbol, Outcome.OK, need.wanted, detail="already stored" if need.wanted else "not listed"
        )
    failed = fetches[0] if fetches and fetches[0].outcome is not Outcome.OK else None
    outcome, why = (failed.outcome, f": {failed.detail}") if failed else (Outcome.LATE, "")
    return SymbolResult(need.symbol, outcome, need.wanted, need.missing, detail=f"not asked in this run{why}")


def classify_missing(missing: Sequence[date], newest: Fetch, reach: AvailableHistory | None) -> tuple[Outcome, str]:
    """Say what it means that a good answer lacks some of the sessions wanted.

    Returns:
        OK and nothing if none is missing; LATE if a bar may still come; else UNOBTAINABLE; with a line for people.
    """
    # Before the answer's first bar there is nothing further back, whatever was expected of it.
    first = newest.first_session or date.min
    late = [
        session for session in missing if session >= first and session not in before_available_history(missing, reach)
    ]
    too_old = [session for session in missing if session not in late]
    parts = []
    if late:
        more = f" and {len(late) - _SHOWN_SESSIONS} more" if len(late) > _SHOWN_SESSIONS else ""
        parts.append(f"the vendor has no bar yet of {', '.join(map(str, late[:_SHOWN_SESSIONS]))}{more}")
    if too_old:
        known = reach or AvailableHistory(
            first, "the vendor's history begins there; set first_session in the universe file"
        )
        parts.append(format_unobtainable(too_old, known))
    outcome = Outcome.LATE if late else Outcome.UNOBTAINABLE if too_old else Outcome.OK
    return outcome, "; ".join(parts)


def format_unobtainable(sessions: Sequence[date], reach: AvailableHistory | None) -> str:
    """Name the range that cannot be had, and why."""
    why = f": answers reach back to {reach.first}, {reach.why}" if reach else ""
    return f"{min(sessions)} to {max(sessions)} ({len(sessions)} sessions) cannot be had{why}"
