"""When a symbol's splits are asked for again, and asking for them.

Belongs here: the slow schedule of splits, and what makes one due early. Does not belong here: prices (`fetch`), how a
request is made (`calls`), the factors (`splits`).

Prices come before splits: today's bar may not be had tomorrow on a plan that reaches back 100 sessions, while a split
that is learned late is repaired, since staging publishes again every row whose factor it changes. So of a day's calls
one is kept for every symbol whose latest session is still missing, and splits get the rest: first the symbols never
answered for, then those with a jump nobody explained, then the oldest answers.
"""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.ledger_queries import missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import Request, Requester, Sleep, content_hash
from stock_assets.sources.interface import PriceSource

JUMP_SETTLES = timedelta(days=3)
"""Time after a jump's session until which a split that explains it may still be added by the vendor."""
_JUMPS_SINCE = timedelta(days=30)
_TEN_DAYS = timedelta(days=10)
"""No two sessions lie further apart."""
_PASSING = frozenset({Outcome.THROTTLED, Outcome.UNREACHABLE, Outcome.DAILY_QUOTA, Outcome.BAD_KEY})


def fetch_splits(parts: PipelineParts, *, now: Clock = utc_now, sleep: Sleep = time.sleep) -> dict[str, str]:
    """Ask for the splits of the symbols that are due; an answer that says the same as the stored one is not kept twice.

    Returns:
        the symbols whose due answer could not be had, with the reason; the splits known before stay in force for them.
    """
    backend, source, universe = parts.backend, parts.source, parts.universe
    started = now()
    asked_before: dict[str, list[Fetch]] = {}
    for fetch in backend.ledger.fetches(FetchKind.SPLITS):
        asked_before.setdefault(fetch.symbol, []).append(fetch)
    due = _due(parts, asked_before, started)
    questions = [_question(source, symbol, _newest_good(asked_before.get(symbol, []))) for symbol in due]
    asking = Requester(backend, source, now=now, sleep=sleep, reserve=_calls_for_prices(parts, started))
    ends = asking.request_all(questions)
    failures = {symbol: end.fetch.detail for symbol, end in ends.items() if end.fetch.outcome is not Outcome.OK}
    # In the order of the universe, those refused earlier today among them.
    refused = {s: f[0].detail for s, f in asked_before.items() if _refused_today(source, f, started)}
    return {symbol: (refused | failures)[symbol] for symbol in universe.symbols if symbol in refused | failures}


def never_received(parts: PipelineParts) -> list[str]:
    """List the symbols for which no answer about splits is stored: their prices are staged as if they had none."""
    known = {fetch.symbol for fetch in parts.backend.ledger.fetches(FetchKind.SPLITS, outcome=Outcome.OK)}
    return [symbol for symbol in parts.universe.symbols if symbol not in known]


def _due(
    parts: PipelineParts,
    asked_before: dict[str, list[Fetch]],
    at: datetime,
) -> list[str]:
    """List the symbols to ask about, the most valuable first."""
    source, universe = parts.source, parts.universe
    refresh = source.terms.splits_refresh
    if refresh is None:
        return list(universe.symbols)
    jumps = _jumps(parts.backend, at.date() - _JUMPS_SINCE)
    ranked = []
    for symbol in universe.symbols:
        fetches = asked_before.get(symbol, [])
        good = _newest_good(fetches)
        if _refused_today(source, fetches, at):
            continue
        if good is None:
            ranked.append((0, datetime.min.replace(tzinfo=UTC), symbol))
        elif symbol in jumps and _unsettled(source, jumps[symbol], good, at):
            ranked.append((1, good.fetched_at, symbol))
        elif at - good.fetched_at >= refresh:
            ranked.append((2, good.fetched_at, symbol))
    return [symbol for *_, symbol in sorted(ranked, key=lambda entry: entry[:2])]


def _unsettled(source: PriceSource, jumped: date, good: Fetch, at: datetime) -> bool:
    """Tell whether an answer is too early to explain a jump, and none has come yet in this quota day."""
    limits = source.terms.limits
    return good.fetched_at < closing_time(jumped) + JUMP_SETTLES and (
        limits.quota_day(good.fetched_at) < limits.quota_day(at) or good.fetched_at < closing_time(jumped)
    )


def _refused_today(source: PriceSource, fetches: Sequence[Fetch], at: datetime) -> bool:
    """Tell whether the vendor said something lasting about the symbol in this quota day: once a day is enough."""
    if not fetches or source.terms.splits_refresh is None:
        return False
    newest, limits = fetches[0], source.terms.limits
    passing = newest.outcome is Outcome.OK or newest.outcome in _PASSING
    return not passing and limits.quota_day(newest.fetched_at) == limits.quota_day(at)


def _calls_for_prices(parts: PipelineParts, at: datetime) -> int:
    """Count the symbols that still need a price call for the latest session that begins today or began before."""
    limits = parts.source.terms.limits
    if limits.per_day is None:
        return 0
    today = limits.quota_day(at)
    latest = sessions_between(today - _TEN_DAYS, today)[-1:]
    return sum(
        bool(
            missing_sessions(
                latest, parts.backend.ledger.fetches(FetchKind.PRICES, symbol=listing.symbol, outcome=Outcome.OK)
            )
        )
        for listing in parts.universe.listings
        if listing.covers(latest[0])
    )


def _jumps(backend: Backend, since: date) -> dict[str, date]:
    with backend.warehouse.open() as sql:
        select = statement("ingest/latest_jumps.sql").bind({"published_prices": sql.name(DAILY_PRICES), "since": since})
        return {row["symbol"]: row["trade_date"] for row in sql.query(select).to_pylist()}


def _newest_good(fetches: Sequence[Fetch]) -> Fetch | None:
    return next((fetch for fetch in fetches if fetch.outcome is Outcome.OK), None)


def _question(source: PriceSource, symbol: str, known: Fetch | None) -> Request:
    def read(body: bytes, payload: str, arrived: datetime) -> Fetch:
        return Fetch(
            symbol,
            FetchKind.SPLITS,
            arrived,
            Outcome.OK,
            response_key=payload,
            content_hash=content_hash(body),
            calls=1,
            detail=f"{len(source.read_splits(body, symbol))} splits",
        )

    return Request(symbol, FetchKind.SPLITS, send=lambda: source.fetch_splits(symbol), read=read, known=known)
