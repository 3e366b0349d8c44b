"""Find bars that are missing from the published table, and decide when to request each again.

Belongs here: comparing the published bars with the expected ones, from the ledger, the tables and the records of
rejected loads. Does not belong here: when a run is started (`catch_up`), or requesting prices (`ingest`).

A quarantined bar is missing too: the vendor may correct it. A missing bar is requested again after growing delays,
counted from the requests in the ledger, whatever started them; after the last delay it is no longer requested
automatically. A bar that appears in a later response, or differs in it from the quarantined one, is loaded all the
same. A published bar outside every listing of its symbol is loaded again, so that the load quarantines it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import chain
from math import ceil
from operator import attrgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.ingest.ledger_queries import bar_lines, before_available_history, newest_responses
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import classify_missing, format_unobtainable
from stock_assets.loads.rejections import Rejection, current_rejections

SCHEDULED_AT = time(22, tzinfo=UTC)
"""Time at which the schedule requests the session of the day."""
RETRY_DELAYS = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24))
"""Delays between retries; after the last one we stop."""
SAME_ATTEMPT = timedelta(minutes=30)
"""Requests closer to each other are repetitions within one run and count as one attempt."""
SYMBOLS_AT_ONCE = 500
"""Symbols whose requests are read together: a million requests need a gigabyte."""

_OF_THE_UNIVERSE = frozenset({"symbol_was_listed", "only_trading_sessions"})
"""Audits that an expected bar does not fail: the universe or the calendar has changed since it was quarantined."""
_NOT_PUBLISHED = "stored, not published"


class Gap(NamedTuple):
    """One expected bar that is not published, or one published bar outside its symbol's listings.

    A tuple, because there can be a million, and a frozen dataclass takes three times as long.

    Attributes:
        symbol: ticker.
        session: trade date.
        stored: whether a stored response has the bar, so that only loading remains.
        due: when to request the bar, aware, UTC; None if it is stored or no longer requested.
        reason: why the bar is missing, on one line.
        requests: failed attempts since the market close.
        unobtainable: whether the vendor's history does not contain the session, so that no request can succeed.
        audits: audits that the bar fails, if the newest response has the bar that is in quarantine.
    """

    symbol: str
    session: date
    stored: bool
    due: datetime | None
    reason: str
    requests: int = 0
    unobtainable: bool = False
    audits: tuple[str, ...] = ()

    @property
    def quarantined(self) -> bool:
        """Return whether the bar is in quarantine, and another response may correct it."""
        return bool(self.audits)

    @property
    def given_up(self) -> bool:
        """Return whether the pipeline no longer tries to get the bar automatically."""
        return not self.stored and self.due is None


@dataclass(frozen=True)
class Coverage:
    """The missing bars of some sessions.

    Attributes:
        gaps: in the order of sessions and symbols.
        rejected: sessions whose stored bars an audit rejected and which have not changed since.
        may_miss: how many listed symbols may have no bar in a session, by the limit of the audits; no entry means any
            number.
    """

    gaps: tuple[Gap, ...]
    rejected: Mapping[date, Rejection]
    may_miss: Mapping[date, int] = field(default_factory=dict)

    def is_due(self, at: datetime) -> bool:
        """Return whether a bar has to be requested."""
        return any(gap.due is not None and gap.due <= at for gap in self.gaps)


@cache
def catch_up_start(session: date) -> datetime:
    """Return the timestamp from which catch-up handles a session; before it, the session belongs to the schedule."""
    return datetime.combine(session, SCHEDULED_AT) + RETRY_DELAYS[0]


@dataclass(frozen=True)
class _Quarantined:
    """One bar in quarantine, or quarantined by a rejected load: the key of its response, what each audit found."""

    response_key: str
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        """Return the audits and what they found, on one line."""
        return "quarantined by " + "; ".join(f"{audit} ({self.reasons[audit]})" for audit in sorted(self.reasons))


@dataclass(frozen=True)
class _Available:
    """The bars of one symbol in the published tables; a bar in both counts as published."""

    published: set[date] = field(default_factory=set)
    quarantined: dict[date, _Quarantined] = field(default_factory=dict)


_NOTHING = _Available()


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
        quarantined: its bars in the published quarantine.
        newest: newest response of each session that has one.
        since: the requests since the market close of the first session that needs them, newest first.
    """

    symbol: str
    sessions: Sequence[date]
    quarantined: Mapping[date, _Quarantined]
    newest: Mapping[date, Fetch]
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
    backend, symbols = parts.backend, sorted(parts.universe.symbols)
    available = _available_bars(backend, sessions)
    history = parts.source.available_history(at)
    gaps: dict[date, list[Gap]] = {}
    with backend.ledger.read() as ledger:
        for start in range(0, len(symbols), SYMBOLS_AT_ONCE):
            for gap in _gaps(parts, symbols[start : start + SYMBOLS_AT_ONCE], sessions, available, history, ledger):
                gaps.setdefault(gap.session, []).append(gap)
        rejected = current_rejections(parts, ledger, gaps)
        for session, rejection in rejected.items():
            gaps[session] = _with_quarantined(gaps[session], session, rejection, history, ledger)
    ordered = sorted(gaps)
    listed, share = parts.universe.listed_counts(ordered), parts.limits.min_coverage
    may_miss = {session: max(0, count - ceil(share * count)) for session, count in listed.items()}
    by_symbol = (sorted(gaps[session], key=attrgetter("symbol")) for session in ordered)
    return Coverage(tuple(chain.from_iterable(by_symbol)), rejected, may_miss)


def _gaps(
    parts: PipelineParts,
    symbols: Sequence[str],
    sessions: Sequence[date],
    available: Mapping[str, _Available],
    history: AvailableHistory | None,
    ledger: LedgerTable,
) -> Iterator[Gap]:
    """Yield the gaps of some symbols; the ledger is read for all of them together."""
    missing: dict[str, list[date]] = {}
    for symbol in symbols:
        held, listed = available.get(symbol, _NOTHING), parts.universe.listed_sessions(symbol, sessions)
        # Nearly all symbols of a universe are complete; a query for each of them takes longer than everything else.
        if absent := [session for session in listed if session not in held.published]:
            missing[symbol] = absent
        outside = f"published, but outside every listing of {symbol} in the universe"
        for session in sorted(held.published.difference(listed)):
            yield Gap(symbol, session, stored=True, due=None, reason=outside)
    newest = newest_responses(ledger, missing)
    unknown: dict[str, datetime] = {}
    available_from = history.first if history is not None else date.min
    for symbol, absent in missing.items():
        found, quarantined = newest.get(symbol, {}), available.get(symbol, _NOTHING).quarantined
        # No request counts for a session that is older than the available history.
        needed = (day for day in absent if day in quarantined or (day not in found and day >= available_from))
        if first := next(needed, None):
            unknown[symbol] = closing_time(first)
    since = ledger.since(FetchKind.PRICES, unknown)
    for symbol, absent in missing.items():
        quarantined = available.get(symbol, _NOTHING).quarantined
        bars = _Missing(symbol, absent, quarantined, newest.get(symbol, {}), since.get(symbol, ()))
        yield from _gaps_of_symbol(parts.backend, bars, history)


def _gaps_of_symbol(backend: Backend, missing: _Missing, history: AvailableHistory | None) -> Iterator[Gap]:
    """Yield the gaps of a symbol."""
    symbol, newest_first, requests = missing.symbol, missing.since, _requests(())
    if not missing.newest and not missing.since:
        for session in missing.sessions:
            yield Gap(symbol, *_never_requested(session, history))
        return
    for session in missing.sessions:
        response, quarantined = missing.newest.get(session), missing.quarantined.get(session)
        if quarantined and not _OF_THE_UNIVERSE.isdisjoint(quarantined.reasons):
            quarantined = None
        if response is not None and quarantined is None:
            yield Gap(symbol, session, True, None, _NOT_PUBLISHED)  # noqa: FBT003 (with names, it takes twice as long)
            continue
        since_close = _since_close(newest_first, session)
        if len(since_close) != len(requests.all):
            newest_first, requests = since_close, _requests(since_close)
        if response is None or (
            quarantined and _is_in_quarantine(backend, session, requests.all, response, quarantined)
        ):
            yield _gap(symbol, session, requests, history, quarantined if response else None)
        else:
            yield Gap(symbol, session, stored=True, due=None, reason=_NOT_PUBLISHED)


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
    session: date,
    rejection: Rejection,
    history: AvailableHistory | None,
    ledger: LedgerTable,
) -> list[Gap]:
    """Return the gaps of a rejected session, in which a bar that the load quarantined may be requested again."""
    bars = rejection.quarantined.get(session.isoformat(), {})
    changed: dict[str, Gap] = {}
    stored = [gap.symbol for gap in gaps if gap.stored and bars.get(gap.symbol)]
    for start in range(0, len(stored), SYMBOLS_AT_ONCE):
        symbols = stored[start : start + SYMBOLS_AT_ONCE]
        since = ledger.since(FetchKind.PRICES, dict.fromkeys(symbols, closing_time(session)))
        for symbol in symbols:
            requests, quarantined = _requests(since.get(symbol, ())), _Quarantined("", bars[symbol])
            changed[symbol] = _gap(symbol, session, requests, history, quarantined)
    return [changed.get(gap.symbol, gap) for gap in gaps]


def _available_bars(backend: Backend, sessions: Sequence[date]) -> dict[str, _Available]:
    """Read the published and the quarantined bars of some sessions, by symbol."""
    with backend.warehouse.connect_to_read() as sql:
        rows = sql.query(
            statement("coverage/available_bars.sql").bind(
                {
                    "published_prices": sql.name(DAILY_PRICES),
                    "published_quarantine": sql.name(QUARANTINED_PRICES),
                    "since": sessions[0],
                    "until": sessions[-1],
                }
            )
        )
    wanted = set(sessions)
    is_published = rows["quarantined_from"].is_null()
    found = {symbol: _Available(days & wanted) for symbol, days in _days_of_symbols(rows.filter(is_published)).items()}
    for row in rows.filter(pc.invert(is_published)).to_pylist():
        held, session = found.setdefault(row["symbol"], _Available()), row["trade_date"]
        if session in wanted:
            earlier = held.quarantined.get(session)
            reasons = {**(earlier.reasons if earlier else {}), row["audit"]: row["detail"]}
            held.quarantined[session] = _Quarantined(row["quarantined_from"], reasons)
    return found


def _days_of_symbols(rows: pa.Table) -> dict[str, set[date]]:
    """Return the days of each symbol in a table of many rows; equal symbols and days share one object.

    A million rows as dictionaries, of 10,000 symbols and 100 sessions, take six times as long, and 450 MB.
    """
    symbols, days = (rows[name].combine_chunks().dictionary_encode() for name in ("symbol", "trade_date"))
    found: list[set[date]] = [set() for _ in range(len(symbols.dictionary))]
    values = days.dictionary.to_pylist()
    for symbol, day in zip(symbols.indices.to_pylist(), days.indices.to_pylist(), strict=True):
        found[symbol].add(values[day])
    return dict(zip(symbols.dictionary.to_pylist(), found, strict=True))


def _is_in_quarantine(
    backend: Backend, session: date, since_close: Sequence[Fetch], newest: Fetch, quarantined: _Quarantined
) -> bool:
    """Return whether the bar of the newest response is the quarantined one, so that loading it changes nothing."""
    if newest.response_key == quarantined.response_key:
        return True
    # An equal bar of a response from before the market close is in quarantine for this reason alone.
    earlier = next((fetch for fetch in since_close if fetch.response_key == quarantined.response_key), None)
    return earlier is not None and bar_lines(backend, newest, [session]) == bar_lines(backend, earlier, [session])


def _gap(
    symbol: str,
    session: date,
    requests: _Requests,
    history: AvailableHistory | None,
    quarantined: _Quarantined | None,
) -> Gap:
    """Return the gap of a bar that no response has, or only as quarantined: whether and when to request it, and why."""
    why = f"{quarantined}, and " if quarantined else ""
    audits = tuple(sorted(quarantined.reasons)) if quarantined else ()
    if before_available_history([session], history):
        reason = f"{why}{format_unobtainable([session], history)}"
        return Gap(symbol, session, stored=False, due=None, reason=reason, unobtainable=True, audits=audits)
    if not requests.relevant:
        reason = str(quarantined or _why_not_requested(requests.all))
        return Gap(symbol, session, stored=False, due=catch_up_start(session), reason=reason, audits=audits)
    outcome, reason = _why_missing(session, requests.relevant[0], requests.response, history)
    unobtainable, attempts = outcome is Outcome.UNOBTAINABLE, requests.attempts
    if quarantined:
        reason = f"{why}{reason}" if unobtainable else str(quarantined)
    if unobtainable or attempts > len(RETRY_DELAYS):
        reason = f"{reason} (requested {'once' if attempts == 1 else f'{attempts} times'})"
        due = None
    else:
        due = max(requests.relevant[0].fetched_at + RETRY_DELAYS[attempts - 1], catch_up_start(session))
    return Gap(symbol, session, False, due, reason, attempts, unobtainable, audits)  # noqa: FBT003 (with names, it takes twice as long)


@lru_cache(maxsize=1_000)
def _never_requested(session: date, history: AvailableHistory | None) -> tuple[Any, ...]:
    """Return all fields but the symbol of the gap of a bar that was not requested since the market close."""
    return _gap("", session, _requests(()), history, None)[1:]


def _why_not_requested(since_close: Sequence[Fetch]) -> str:
    newest = next((fetch for fetch in since_close if not fetch.is_landing_file), None)
    if newest and newest.outcome is Outcome.DAILY_QUOTA:
        return newest.detail
    return "not requested since the market close"


def _why_missing(
    session: date, newest: Fetch, response: Fetch | None, history: AvailableHistory | None
) -> tuple[Outcome, str]:
    """Return why the newest good response, or else the newest request, did not deliver a bar; OK if it did."""
    if response is None:
        return newest.outcome, newest.detail
    return classify_missing([] if response.holds(session) else [session], response, history)


def _attempts(newest_first: Collection[datetime]) -> int:
    """Count the attempts; requests shortly after one another are one attempt."""
    count, begun = 0, None
    for requested_at in sorted(newest_first):
        if begun is None or requested_at - begun >= SAME_ATTEMPT:
            count, begun = count + 1, requested_at
    return count
