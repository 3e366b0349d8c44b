"""Request the splits of the symbols that are due.

Belongs here: the slow schedule of splits, and what makes a request due earlier. Does not belong here: prices
(`price_requests`), how a request is made (`requester`), the factors (`splits`).

Prices come before splits: on a plan whose available history is 100 sessions, a bar that is not requested in time is
lost, while a split that arrives late is corrected, since staging publishes again every row whose factor changes. So the
day's calls that prices still need are reserved (for missing bars of the latest sessions, and for today's bar before the
market close), and splits get the others: first the symbols without any response, then the symbols with an unexplained
jump, then the oldest responses.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.limits import UNEXPLAINED_JUMP
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import plural
from stock_assets.ingest.counted_calls import Sleep
from stock_assets.ingest.ledger_queries import missing_sessions, newest_good, newest_intact_splits
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import Request, Requester
from stock_assets.sources.interface import PriceSource

JUMP_SETTLES = timedelta(days=3)
"""Time after a jump's session during which the vendor may still add the split that explains it."""
_JUMPS_SINCE = timedelta(days=30)
_TEN_DAYS = timedelta(days=10)
"""Period in which missing bars have priority over splits."""
_TRANSIENT = frozenset({Outcome.THROTTLED, Outcome.UNREACHABLE, Outcome.DAILY_QUOTA, Outcome.BAD_KEY})


def fetch_splits(parts: PipelineParts, *, now: Clock = utc_now, sleep: Sleep = time.sleep) -> dict[str, str]:
    """Request the splits of the symbols that are due; a response equal to the stored one is not stored again.

    Returns:
        The symbols whose request failed, with the reason; the splits known before stay in force for them.
    """
    backend, source, universe = parts.backend, parts.source, parts.universe
    started = now()
    with backend.ledger.read() as ledger:
        requested_before = ledger.latest(FetchKind.SPLITS)
    # A damaged response is requested again, and not reused: the new one is stored, also if its bytes are the same.
    intact = {s: newest_intact_splits(parts, s, requested_before.get(s, ())) for s in universe.symbols}
    due = _due(parts, requested_before, intact, started)
    requests = [_request(source, symbol, intact[symbol]) for symbol in due]
    requester = Requester(backend, source, now=now, sleep=sleep, reserve=_calls_for_prices(parts, started))
    results = requester.request_all(requests)
    failures = {
        symbol: result.fetch.detail for symbol, result in results.items() if result.fetch.outcome is not Outcome.OK
    }
    # In the order of the universe, with the lasting failures of earlier requests of today.
    failed_before = {s: f[0].detail for s, f in requested_before.items() if _failed_today(source, f, started)}
    return {
        symbol: (failed_before | failures)[symbol] for symbol in universe.symbols if symbol in failed_before | failures
    }


def never_received(parts: PipelineParts) -> list[str]:
    """Return the symbols without a stored splits response: their prices are staged as if they had no splits."""
    with parts.backend.ledger.read() as ledger:
        latest = ledger.latest(FetchKind.SPLITS, parts.universe.symbols)
    return [symbol for symbol in parts.universe.symbols if newest_good(latest.get(symbol, ())) is None]


def _due(
    parts: PipelineParts,
    requested_before: Mapping[str, Sequence[Fetch]],
    stored: Mapping[str, Fetch | None],
    at: datetime,
) -> list[str]:
    """Return the symbols to request, the most valuable first."""
    source, universe = parts.source, parts.universe
    refresh = source.terms.splits_refresh
    if refresh is None:
        return list(universe.symbols)
    jumps = _jumps(parts.backend, at.date() - _JUMPS_SINCE)
    ranked = []
    for symbol in universe.symbols:
        fetches, good = requested_before.get(symbol, []), stored[symbol]
        if _failed_today(source, fetches, at):
            continue
        if good is None:
            ranked.append((0, datetime.min.replace(tzinfo=UTC), symbol))
        elif symbol in jumps and _unsettled(source, jumps[symbol], good, at):
            ranked.append((1, good.fetched_at, symbol))
        elif at - good.fetched_at >= refresh:
            ranked.append((2, good.fetched_at, symbol))
    return [symbol for *_, symbol in sorted(ranked, key=lambda entry: entry[:2])]


def _unsettled(source: PriceSource, jumped: date, good: Fetch, at: datetime) -> bool:
    """Return whether the response is too early to explain a jump and not from this quota day."""
    limits = source.terms.limits
    return good.fetched_at < closing_time(jumped) + JUMP_SETTLES and (
        limits.quota_day(good.fetched_at) < limits.quota_day(at) or good.fetched_at < closing_time(jumped)
    )


def _failed_today(source: PriceSource, fetches: Sequence[Fetch], at: datetime) -> bool:
    """Return whether a request of this quota day failed for a lasting reason: one request a day is enough then."""
    if not fetches or source.terms.splits_refresh is None:
        return False
    newest, limits = fetches[0], source.terms.limits
    transient = newest.outcome is Outcome.OK or newest.outcome in _TRANSIENT
    return not transient and limits.quota_day(newest.fetched_at) == limits.quota_day(at)


def _calls_for_prices(parts: PipelineParts, at: datetime) -> int:
    """Count the calls that prices still need on this quota day.

    Each symbol needs a call for its missing bars of closed sessions, and another one for today's bar if today's session
    has not closed yet.
    """
    limits = parts.source.terms.limits
    if limits.per_day is None:
        return 0
    today = limits.quota_day(at)
    recent = sessions_between(today - _TEN_DAYS, today)
    phases = [[day for day in recent if closing_time(day) <= at], [day for day in recent if closing_time(day) > at]]
    with parts.backend.ledger.read() as ledger:
        return sum(
            bool(missing)
            for days in phases
            for missing in missing_sessions(
                ledger, {symbol: parts.universe.listed_sessions(symbol, days) for symbol in parts.universe.symbols}
            ).values()
        )


def _jumps(backend: Backend, since: date) -> dict[str, date]:
    with backend.warehouse.connect_to_read() as sql:
        select = statement("ingest/latest_jumps.sql").bind(
            {"published_prices": sql.name(DAILY_PRICES), "since": since, "max_jump": UNEXPLAINED_JUMP}
        )
        return {row["symbol"]: row["trade_date"] for row in sql.query(select).to_pylist()}


def _request(source: PriceSource, symbol: str, known: Fetch | None) -> Request:
    def read(body: bytes, response_key: str, arrived: datetime) -> Fetch:
        return Fetch(
            symbol,
            FetchKind.SPLITS,
            arrived,
            Outcome.OK,
            response_key=response_key,
            content_hash=content_hash(body),
            calls=1,
            detail=plural(len(source.read_splits(body, symbol)), "split"),
        )

    return Request(
        symbol,
        FetchKind.SPLITS,
        send=lambda: source.fetch_splits(symbol),
        read=read,
        known=known,
        after=known.fetched_at if known else None,
    )
