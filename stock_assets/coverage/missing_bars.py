"""Find bars that are missing from the published table, and decide when to request each again.

Belongs here: comparing the published bars with the expected ones, from the ledger, the tables and the records of
rejected loads. Does not belong here: when a run is started (`catch_up`), or requesting prices (`ingest`).

A bar is available if it is published, or quarantined with no newer response stored. A missing bar is requested again
after growing delays, counted from the requests in the ledger, whatever started them; after the last delay it is no
longer requested automatically. A bar that appears in a later response is loaded all the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from stock_assets.audit.rejections import Rejection, current_rejections
from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import closing_time
from stock_assets.core.errors import Outcome
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets.ingest.ledger_queries import bar_lines, before_available_history, group_by_symbol, newest_responses
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import classify_missing, format_unobtainable
from stock_assets.sources.interface import AvailableHistory

SCHEDULED_AT = time(22, tzinfo=UTC)
"""Time at which the schedule requests the session of the day."""
RETRY_DELAYS = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24))
"""Delays between retries; after the last one we stop."""
SAME_ATTEMPT = timedelta(minutes=30)
"""Requests closer to each other are repetitions within one run and count as one attempt."""


@dataclass(frozen=True)
class Gap:
    """One expected bar that is not published.

    Attributes:
        symbol: ticker.
        session: trade date.
        stored: whether a stored response has the bar, so that only loading remains.
        due: when to request the bar, aware, UTC; None if it is stored or no longer requested.
        reason: why the bar is missing, on one line.
        requests: failed attempts since the market close.
    """

    symbol: str
    session: date
    stored: bool
    due: datetime | None
    reason: str
    requests: int = 0

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
    """

    gaps: tuple[Gap, ...]
    rejected: Mapping[date, Rejection]


def catch_up_start(session: date) -> datetime:
    """Return the timestamp from which catch-up handles a session; before it, the session belongs to the schedule."""
    return datetime.combine(session, SCHEDULED_AT) + RETRY_DELAYS[0]


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
    fetches = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES))
    available = _available_bars(backend, sessions[0])
    history = parts.source.available_history(at)
    gaps: list[Gap] = []
    for symbol in parts.universe.symbols:
        requests = fetches.get(symbol, [])
        expected = [session for session in sessions if parts.universe.covers(symbol, session)]
        missing = _missing_sessions(backend, expected, requests, available.get(symbol, {}))
        stored = newest_responses(requests, missing)
        gaps += (
            Gap(symbol, session, stored=True, due=None, reason="stored, not published")
            if session in stored
            else _gap(symbol, session, requests, history)
            for session in missing
        )
    rejected = current_rejections(parts, fetches, {gap.session for gap in gaps})
    return Coverage(tuple(sorted(gaps, key=lambda gap: (gap.session, gap.symbol))), rejected)


def _available_bars(backend: Backend, since: date) -> dict[str, dict[date, str | None]]:
    """Return, by symbol and session, None for a published bar, or the response key of a quarantined one."""
    with backend.warehouse.connect() as sql:
        rows = sql.query(
            statement("coverage/available_bars.sql").bind(
                {
                    "published_prices": sql.name(DAILY_PRICES),
                    "published_quarantine": sql.name(QUARANTINED_PRICES),
                    "since": since,
                }
            )
        ).to_pylist()
    available: dict[str, dict[date, str | None]] = {}
    # A published bar hides a quarantined bar of the same session.
    for row in sorted(rows, key=lambda row: row["quarantined_from"] is None):
        available.setdefault(row["symbol"], {})[row["trade_date"]] = row["quarantined_from"]
    return available


def _missing_sessions(
    backend: Backend, expected: Sequence[date], fetches: Sequence[Fetch], available: Mapping[date, str | None]
) -> list[date]:
    """Return the sessions that are neither published nor quarantined with the bar of the newest response."""
    quarantined = [session for session in expected if available.get(session) is not None]
    newest = newest_responses(fetches, quarantined)
    outdated = {
        session
        for session in quarantined
        # Without a response after the market close, the bar is in quarantine for that reason and still to be requested.
        if session not in newest or _differs(backend, session, newest[session].response_key, str(available[session]))
    }
    return [session for session in expected if session not in available or session in outdated]


def _differs(backend: Backend, session: date, newest: str, quarantined_from: str) -> bool:
    """Return whether a newer response has another bar than the quarantined one."""
    return newest != quarantined_from and (
        bar_lines(backend, newest).get(session) != bar_lines(backend, quarantined_from).get(session)
    )


def _gap(symbol: str, session: date, fetches: Sequence[Fetch], history: AvailableHistory | None) -> Gap:
    """Return the gap of a bar that no response has: whether and when to request it, and why it is missing."""
    if before_available_history([session], history):
        return Gap(symbol, session, stored=False, due=None, reason=format_unobtainable([session], history))
    failed = [
        fetch
        for fetch in fetches
        # An exhausted daily quota is no statement about the bar, and neither is a landing file.
        if fetch.fetched_at >= closing_time(session)
        and fetch.outcome is not Outcome.DAILY_QUOTA
        and not fetch.is_landing_file
    ]
    if not failed:
        reason = "not requested since the market close"
        return Gap(symbol, session, stored=False, due=catch_up_start(session), reason=reason)
    response = next((fetch for fetch in failed if fetch.outcome is Outcome.OK), None)
    outcome, reason = (
        classify_missing([session], response, history) if response else (failed[0].outcome, failed[0].detail)
    )
    attempts = _attempts([fetch.fetched_at for fetch in failed])
    if outcome is Outcome.UNOBTAINABLE or attempts > len(RETRY_DELAYS):
        times = "once" if attempts == 1 else f"{attempts} times"
        reason = f"{reason} (requested {times})"
        return Gap(symbol, session, stored=False, due=None, reason=reason, requests=attempts)
    due = max(failed[0].fetched_at + RETRY_DELAYS[attempts - 1], catch_up_start(session))
    return Gap(symbol, session, stored=False, due=due, reason=reason, requests=attempts)


def _attempts(newest_first: Collection[datetime]) -> int:
    """Count the attempts; requests shortly after one another are one attempt."""
    count, begun = 0, None
    for requested_at in sorted(newest_first):
        if begun is None or requested_at - begun >= SAME_ATTEMPT:
            count, begun = count + 1, requested_at
    return count
