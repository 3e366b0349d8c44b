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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.audit_limits import UNEXPLAINED_JUMP
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.checksums import content_hash
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.text import plural
from stock_assets.core.universe import Universe
from stock_assets.ingest.counted_calls import Sleep
from stock_assets.ingest.ledger_queries import missing_sessions, newest_good, newest_intact_splits
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.requester import Request, Requester, RequestResult
from stock_assets.sources.interface import PriceSource

JUMP_SETTLES = timedelta(days=3)
"""Time after a jump's session during which the vendor may still add the split that explains it."""
_JUMPS_SINCE = timedelta(days=30)
_TEN_DAYS = timedelta(days=10)
"""Period in which missing bars have priority over splits."""
_TRANSIENT = frozenset({Outcome.THROTTLED, Outcome.UNREACHABLE, Outcome.DAILY_QUOTA, Outcome.BAD_KEY})


@dataclass(frozen=True)
class SplitPlan:
    """The splits to request now.

    Attributes:
        symbols: symbols to request, the most valuable first.
        reserve_calls: calls of the quota day that prices still need.
        failed_before: symbols whose request has failed today for a lasting reason, with the reason.
    """

    symbols: tuple[str, ...]
    reserve_calls: int
    failed_before: Mapping[str, str]

    def failures(self, requested: Mapping[str, Fetch], universe: Universe) -> dict[str, str]:
        """Return the symbols whose splits could not be fetched, with the reason, in the order of the universe.

        Args:
            requested: the entry of the last request of each symbol that was requested.
            universe: the symbols.
        """
        failed = {symbol: fetch.detail for symbol, fetch in requested.items() if fetch.outcome is not Outcome.OK}
        found = {**self.failed_before, **failed}
        return {symbol: found[symbol] for symbol in universe.symbols if symbol in found}


def fetch_splits(parts: PipelineParts, *, now: Clock = utc_now, sleep: Sleep = time.sleep) -> dict[str, str]:
    """Request the splits of the symbols that are due.

    Returns:
        The symbols whose request failed, with the reason; the splits known before stay in force for them.
    """
    plan = plan_splits(parts, at=now())
    results = request_splits(parts, plan.symbols, reserve_calls=plan.reserve_calls, now=now, sleep=sleep)
    return plan.failures({symbol: result.fetch for symbol, result in results.items()}, parts.universe)


def plan_splits(parts: PipelineParts, *, at: datetime) -> SplitPlan:
    """Return which splits are due, from the ledger, the stored responses and the published prices.

    If the source has no splits, the plan is empty and reserves no calls.
    """
    if not parts.source.has_splits:
        return SplitPlan((), 0, {})
    with parts.backend.ledger.read() as ledger:
        requested_before = ledger.latest(FetchKind.SPLITS)
    failed_before = {s: f[0].detail for s, f in requested_before.items() if _failed_today(parts.source, f, at)}
    return SplitPlan(
        tuple(_due(parts, requested_before, _intact(parts, parts.universe.symbols, requested_before), at)),
        _calls_for_prices(parts, at),
        failed_before,
    )


def request_splits(
    parts: PipelineParts,
    symbols: Sequence[str],
    *,
    reserve_calls: int,
    until: datetime | None = None,
    now: Clock = utc_now,
    sleep: Sleep = time.sleep,
) -> dict[str, RequestResult]:
    """Request the splits of some symbols, in this order; a response equal to the stored one is not stored again.

    Args:
        parts: the pipeline; its tables are not read.
        symbols: symbols to request.
        reserve_calls: calls of the quota day that stay reserved.
        until: timestamp after which no request begins, or None.
        now: the clock.
        sleep: waits between requests.

    Returns:
        the result of each symbol; those that were not requested by `until` have none.
    """
    with parts.backend.ledger.read() as ledger:
        requested_before = ledger.latest(FetchKind.SPLITS, symbols)
    intact = _intact(parts, symbols, requested_before)
    requester = Requester(parts.backend, parts.source, now=now, sleep=sleep, reserve=reserve_calls, until=until)
    return requester.request_all(_request(parts.source, symbol, intact[symbol]) for symbol in symbols)


def _intact(
    parts: PipelineParts, symbols: Iterable[str], requested_before: Mapping[str, Sequence[Fetch]]
) -> dict[str, Fetch | None]:
    """Return the newest undamaged response of each symbol.

    A damaged one is requested again, and not reused: the new one is stored, also if its bytes are the same.
    """
    return newest_intact_splits(parts, {symbol: requested_before.get(symbol, ()) for symbol in symbols})


def never_received(parts: PipelineParts) -> list[str]:
    """Return the symbols without a stored splits response: their prices are staged as if they had no splits.

    If the source has no splits, none is missing.
    """
    if not parts.source.has_splits:
        return []
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
    """Count the calls that prices still need on this quota day, in all universes that share the quota.

    Each symbol needs a call for its missing bars of closed sessions, and another one for today's bar if today's session
    has not closed yet.
    """
    limits = parts.source.terms.limits
    if limits.per_day is None:
        return 0
    today = limits.quota_day(at)
    recent = sessions_between(today - _TEN_DAYS, today)
    phases = [[day for day in recent if closing_time(day) <= at], [day for day in recent if closing_time(day) > at]]
    return sum(_symbols_with_missing_bars(each, days) for each in (parts, *parts.others) for days in phases)


def _symbols_with_missing_bars(parts: PipelineParts, days: Sequence[date]) -> int:
    listed = {symbol: parts.universe.listed_sessions(symbol, days) for symbol in parts.universe.symbols}
    with parts.backend.ledger.read() as ledger:
        return sum(map(bool, missing_sessions(ledger, listed).values()))


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
