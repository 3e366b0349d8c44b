"""Asks a source for what is missing, keeps every answer, and notes every request in the ledger.

Belongs here: which symbol needs a request for which sessions, and what becomes of each answer. Does not belong
here: HTTP (`alpha_vantage`), Dagster (`assets`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from stock_assets.errors import Outcome, SessionNotClosed, SourceError
from stock_assets.homes.interfaces import Fetch, FetchKind, Home
from stock_assets.ingest.source import PriceSource, Split
from stock_assets.sessions import closing_time, sessions_between
from stock_assets.universe import Listing, Universe

Clock = Callable[[], datetime]
"""Gives the time now, aware, UTC."""


def utc_now() -> datetime:
    """Read the machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class SymbolResult:
    """How one symbol stands after a run over some sessions.

    Attributes:
        symbol: ticker.
        outcome: OK when every wanted session is stored; LATE when the answer came without some of them; else why.
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


def fetch_prices(
    home: Home, source: PriceSource, universe: Universe, sessions: Sequence[date], *, now: Clock = utc_now
) -> list[SymbolResult]:
    """Bring the stored answers up to the sessions asked for, with at most one request per symbol.

    Raises:
        SessionNotClosed: a session asked for has not ended yet.
    """
    started = now()
    early = [session for session in sessions if closing_time(session) > started]
    if early:
        raise SessionNotClosed(
            f"raw/daily_prices: session {early[0]} closes at {closing_time(early[0]):%Y-%m-%d %H:%M} UTC; "
            "materialize it after that"
        )
    return [_fetch_symbol(home, source, listing, sessions, now) for listing in universe.listings]


def fetch_splits(home: Home, source: PriceSource, universe: Universe, *, now: Clock = utc_now) -> dict[str, str]:
    """Ask for the splits of every symbol; an answer that says the same as the stored one is not stored again.

    Returns:
        the symbols that could not be had, with the reason; the splits known before stay in force for them.
    """
    failures = {}
    for symbol in universe.symbols:
        try:
            body = source.fetch_splits(symbol)
            fetched_at = now()
            known = home.ledger.fetches(FetchKind.SPLITS, symbol=symbol, outcome=Outcome.OK)
            if known and known[0].content_hash == _hash(body):
                continue
            payload = _store(home, FetchKind.SPLITS, symbol, body, fetched_at)
            _record_splits(home, source, symbol, body, payload, fetched_at)
        except SourceError as error:
            failures[symbol] = str(error)
    return failures


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

    Symbols that have left the universe are included: their published history must be able to be staged again.
    """
    by_symbol: dict[str, list[Fetch]] = {}
    for fetch in home.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK):
        by_symbol.setdefault(fetch.symbol, []).append(fetch)
    chosen = []
    for symbol in sorted(by_symbol):
        uncovered = set(sessions)
        for fetch in by_symbol[symbol]:
            found = {session for session in uncovered if fetch.holds(session)}
            if found:
                chosen.append(fetch)
                uncovered -= found
            if not uncovered:
                break
    return chosen


def fetches_of(home: Home, payloads: Sequence[str]) -> list[Fetch]:
    """Look up the fetches that stored these answers."""
    wanted = set(payloads)
    return [fetch for fetch in home.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK) if fetch.payload in wanted]


def _fetch_symbol(
    home: Home, source: PriceSource, listing: Listing, sessions: Sequence[date], now: Clock
) -> SymbolResult:
    symbol = listing.symbol
    wanted = tuple(session for session in sessions if listing.covers(session))
    missing = _not_stored(home, symbol, wanted)
    if not missing:
        return SymbolResult(symbol, Outcome.OK, wanted, detail="already stored" if wanted else "not listed then")
    try:
        body = source.fetch_prices(symbol, missing)
    except SourceError as error:
        home.ledger.record(Fetch(symbol, FetchKind.PRICES, now(), error.outcome, calls=1, detail=str(error)))
        return SymbolResult(symbol, error.outcome, wanted, missing, calls=1, detail=str(error))
    fetched_at = now()
    payload = _store(home, FetchKind.PRICES, symbol, body, fetched_at)
    try:
        fetch = _read(source, symbol, body, payload, fetched_at)
    except SourceError as error:
        home.ledger.record(
            Fetch(
                symbol,
                FetchKind.PRICES,
                fetched_at,
                error.outcome,
                payload=payload,
                calls=1,
                detail=str(error),
            )
        )
        return SymbolResult(symbol, error.outcome, wanted, missing, calls=1, detail=str(error))
    home.ledger.record(fetch)
    still_missing = tuple(session for session in missing if not fetch.holds(session))
    if still_missing:
        detail = f"the vendor has no bar yet of {', '.join(map(str, still_missing[:5]))}"
        return SymbolResult(symbol, Outcome.LATE, wanted, still_missing, calls=1, detail=detail)
    return SymbolResult(symbol, Outcome.OK, wanted, calls=1, detail=fetch.detail)


def _not_stored(home: Home, symbol: str, wanted: Sequence[date]) -> tuple[date, ...]:
    """List the wanted sessions that no answer fetched after their close holds."""
    stored = home.ledger.fetches(FetchKind.PRICES, symbol=symbol, outcome=Outcome.OK)
    return tuple(
        session
        for session, closes_at in zip(wanted, map(closing_time, wanted), strict=True)
        if not any(fetch.holds(session) and fetch.fetched_at >= closes_at for fetch in stored)
    )


def _read(source: PriceSource, symbol: str, body: bytes, payload: str, fetched_at: datetime) -> Fetch:
    held = set(source.read_prices(body, symbol))
    first, last = min(held), max(held)
    return Fetch(
        symbol=symbol,
        kind=FetchKind.PRICES,
        fetched_at=fetched_at,
        outcome=Outcome.OK,
        payload=payload,
        first_session=first,
        last_session=last,
        holes=tuple(session for session in sessions_between(first, last) if session not in held),
        content_hash=_hash(body),
        calls=1,
        detail=f"{len(held)} sessions, {first} to {last}",
    )


def _record_splits(
    home: Home, source: PriceSource, symbol: str, body: bytes, payload: str, fetched_at: datetime
) -> None:
    outcome, detail = Outcome.OK, ""
    try:
        detail = f"{len(source.read_splits(body, symbol))} splits"
    except SourceError as error:
        outcome, detail = error.outcome, str(error)
        raise
    finally:
        home.ledger.record(
            Fetch(
                symbol,
                FetchKind.SPLITS,
                fetched_at,
                outcome,
                payload=payload,
                content_hash=_hash(body),
                calls=1,
                detail=detail,
            )
        )


def _store(home: Home, kind: FetchKind, symbol: str, body: bytes, fetched_at: datetime) -> str:
    """Keep the body before anything reads it."""
    ending = "csv" if kind is FetchKind.PRICES else "json"
    key = f"raw/{kind}/ingest_date={fetched_at:%Y-%m-%d}/{fetched_at:%Y%m%dT%H%M%S%fZ}/{symbol}.{ending}"
    home.objects.put(key, body)
    return key


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def splits_by_symbol(splits: Mapping[str, Sequence[Split]]) -> list[dict[str, str]]:
    """List the known splits as text rows, for previews."""
    return [
        {"symbol": symbol, "ex-date": split.ex_date.isoformat(), "ratio": f"{split.ratio.normalize():f}:1"}
        for symbol, events in splits.items()
        for split in events
    ]
