"""Find bars that are missing from the published table, and decide when to request each again.

Belongs here: comparing the published bars with the expected ones, from the ledger, the tables and the records of
rejected loads. Does not belong here: when a run is started (`catch_up`), or requesting prices (`ingest`).

A quarantined bar is missing too: the vendor may correct it. A missing bar is requested again after growing delays,
counted from the requests in the ledger, whatever started them; after the last delay it is no longer requested
automatically. A bar that appears in a later response, or differs in it from the quarantined one, is loaded all the
same. A published bar outside every listing of its symbol is loaded again, so that the load quarantines it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

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


_OF_THE_UNIVERSE = frozenset({"symbol_was_listed", "only_trading_sessions"})
"""Audits that an expected bar does not fail: the universe or the calendar has changed since it was quarantined."""
_NOT_PUBLISHED = "stored, not published"


@dataclass(frozen=True)
class Gap:
    """One expected bar that is not published, or one published bar outside its symbol's listings.

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


@dataclass(frozen=True)
class _Requests:
    """The requests for symbols with missing bars; those for one symbol are read once, from its first gap on."""

    ledger: LedgerTable
    sessions: Sequence[date]
    _read: dict[str, tuple[date, list[Fetch]]] = field(default_factory=dict)

    def since_close(self, symbol: str, session: date) -> list[Fetch]:
        """Return the requests for a symbol since the market close of a session, newest first."""
        first, found = self._read.get(symbol, (date.max, []))
        closed_at = closing_time(session)
        if session < first:
            found = self.ledger.fetches(FetchKind.PRICES, symbol=symbol, since=closed_at)
            self._read[symbol] = session, found
        return [fetch for fetch in found if fetch.fetched_at >= closed_at]


def coverage(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Coverage:
    """Find the missing bars of some sessions.

    Args:
        parts: the pipeline.
        sessions: the sessions of interest, in order.
        at: now, aware, UTC.
    """
    if not sessions:
        return Coverage((), {})
    backend = parts.backend
    available = _available_bars(backend, sessions)
    history = parts.source.available_history(at)
    with backend.ledger.read() as ledger:
        requests = _Requests(ledger, sessions)
        gaps = [
            gap
            for symbol in parts.universe.symbols
            for gap in _gaps(parts, symbol, available.get(symbol, _Available()), history, requests)
        ]
        rejected = current_rejections(parts, ledger, {gap.session for gap in gaps})
        gaps = [
            _gap(gap.symbol, gap.session, requests.since_close(gap.symbol, gap.session), history, quarantined)
            if gap.stored and (quarantined := _quarantined_by_rejection(gap, rejected))
            else gap
            for gap in gaps
        ]
    may_miss = {session: _may_miss(parts, session) for session in {gap.session for gap in gaps}}
    return Coverage(tuple(sorted(gaps, key=lambda gap: (gap.session, gap.symbol))), rejected, may_miss)


def _gaps(
    parts: PipelineParts,
    symbol: str,
    held: _Available,
    history: AvailableHistory | None,
    requests: _Requests,
) -> Iterator[Gap]:
    """Yield the gaps of one symbol."""
    listed = parts.universe.listed_sessions(symbol, requests.sessions)
    missing = [session for session in listed if session not in held.published]
    # Nearly all symbols of a universe are complete; a query for each of them takes longer than everything else.
    newest = newest_responses(requests.ledger, symbol, missing) if missing else {}
    for session in missing:
        response, quarantined = newest.get(session), held.quarantined.get(session)
        if quarantined and not _OF_THE_UNIVERSE.isdisjoint(quarantined.reasons):
            quarantined = None
        if response is not None and quarantined is None:
            yield Gap(symbol, session, stored=True, due=None, reason=_NOT_PUBLISHED)
            continue
        since_close = requests.since_close(symbol, session)
        if response is None or (
            quarantined and _is_in_quarantine(parts.backend, session, since_close, response, quarantined)
        ):
            yield _gap(symbol, session, since_close, history, quarantined if response else None)
        else:
            yield Gap(symbol, session, stored=True, due=None, reason=_NOT_PUBLISHED)
    outside = f"published, but outside every listing of {symbol} in the universe"
    for session in sorted(held.published.difference(listed)):
        yield Gap(symbol, session, stored=True, due=None, reason=outside)


def _may_miss(parts: PipelineParts, session: date) -> int:
    listed = sum(parts.universe.covers(symbol, session) for symbol in parts.universe.symbols)
    return max((miss for miss in range(listed + 1) if (listed - miss) >= parts.limits.min_coverage * listed), default=0)


def _quarantined_by_rejection(gap: Gap, rejected: Mapping[date, Rejection]) -> _Quarantined | None:
    """Return the bar as the rejected load quarantined it; the published quarantine has no bar of that session."""
    rejection = rejected.get(gap.session)
    reasons = rejection.quarantined.get(gap.session.isoformat(), {}).get(gap.symbol) if rejection else None
    return _Quarantined("", reasons) if reasons else None


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
    since_close: Sequence[Fetch],
    history: AvailableHistory | None,
    quarantined: _Quarantined | None,
) -> Gap:
    """Return the gap of a bar that no response has, or only as quarantined: whether and when to request it, and why."""
    why = f"{quarantined}, and " if quarantined else ""
    audits = tuple(sorted(quarantined.reasons)) if quarantined else ()
    missing = Gap(symbol, session, stored=False, due=None, reason="", audits=audits)
    if before_available_history([session], history):
        return replace(missing, reason=f"{why}{format_unobtainable([session], history)}", unobtainable=True)
    failed = [
        fetch
        for fetch in since_close
        # An exhausted daily quota is no statement about the bar, and neither is a landing file.
        if fetch.outcome is not Outcome.DAILY_QUOTA and not fetch.is_landing_file
    ]
    if not failed:
        reason = str(quarantined or _why_not_requested(since_close))
        return replace(missing, reason=reason, due=catch_up_start(session))
    response = next((fetch for fetch in failed if fetch.outcome is Outcome.OK), None)
    outcome, reason = _why_missing(session, failed[0], response, history)
    if quarantined:
        reason = f"{why}{reason}" if outcome is Outcome.UNOBTAINABLE else str(quarantined)
    attempts = _attempts([fetch.fetched_at for fetch in failed])
    if outcome is Outcome.UNOBTAINABLE or attempts > len(RETRY_DELAYS):
        times = "once" if attempts == 1 else f"{attempts} times"
        reason = f"{reason} (requested {times})"
        return replace(missing, reason=reason, requests=attempts, unobtainable=outcome is Outcome.UNOBTAINABLE)
    due = max(failed[0].fetched_at + RETRY_DELAYS[attempts - 1], catch_up_start(session))
    return replace(missing, due=due, reason=reason, requests=attempts)


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
