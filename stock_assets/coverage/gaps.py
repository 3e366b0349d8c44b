"""What of the latest sessions readers do not have, symbol by symbol, and what may be done about it.

Belongs here: comparing what is published with what should be, from the ledger, the tables and the notes of refused
loads. Does not belong here: when a run is asked for (`catch_up`), or asking the vendor (`ingest`).

A bar counts as had when it is published, or in quarantine with nothing newer stored. What is missing is worth asking
for again after growing pauses, counted from the requests in the ledger, whoever made them; after the last of them
nobody asks for it by itself any more. A bar that turns up in a later answer anyway is taken.
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
from stock_assets.ingest.ledger_queries import answers, bar_lines, beyond, group_by_symbol
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import judge_missing, why_unobtainable
from stock_assets.sources.interface import AvailableHistory

SCHEDULED_AT = time(22, tzinfo=UTC)
"""When the schedule asks for the session of the day."""
RETRY_DELAYS = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24, 24))
"""Time after a vain request until the next one; after the last, no more."""
ONE_ATTEMPT = timedelta(minutes=30)
"""Requests closer to each other are repetitions within one run."""


@dataclass(frozen=True)
class Gap:
    """One bar that readers should have and do not.

    Attributes:
        symbol: ticker.
        session: trade date.
        stored: an answer with it is stored; only loading is left to do.
        due: when it is worth asking for, aware, UTC; None when it is stored or nobody should ask any more.
        why: one line for people.
        asked: requests since the bell, in vain.
    """

    symbol: str
    session: date
    stored: bool
    due: datetime | None
    why: str
    asked: int = 0

    @property
    def given_up(self) -> bool:
        """Nothing will be done about it by itself."""
        return not self.stored and self.due is None


@dataclass(frozen=True)
class Coverage:
    """What is not had of some sessions.

    Attributes:
        gaps: in the order of sessions and symbols.
        rejected: sessions whose stored bars an audit rejected and which have not changed since.
    """

    gaps: tuple[Gap, ...]
    rejected: Mapping[date, Rejection]


def catch_up_starts(session: date) -> datetime:
    """Give the moment from which a session is looked after here; before it, it is the schedule's."""
    return datetime.combine(session, SCHEDULED_AT) + RETRY_DELAYS[0]


def coverage(parts: PipelineParts, sessions: Sequence[date], *, at: datetime) -> Coverage:
    """Find what is not had of the sessions.

    Args:
        parts: the pipeline.
        sessions: those of interest, in order.
        at: now, aware, UTC.
    """
    if not sessions:
        return Coverage((), {})
    backend = parts.backend
    fetches = group_by_symbol(backend.ledger.fetches(FetchKind.PRICES))
    held = _held(backend, sessions[0])
    reach = parts.source.available_history(at)
    gaps: list[Gap] = []
    for listing in parts.universe.listings:
        asked = fetches.get(listing.symbol, [])
        wanted = [session for session in sessions if listing.covers(session)]
        lacking = _lacking(backend, wanted, asked, held.get(listing.symbol, {}))
        stored = answers(asked, lacking)
        gaps += (
            Gap(listing.symbol, session, stored=True, due=None, why="stored, not published")
            if session in stored
            else _missing(listing.symbol, session, asked, reach)
            for session in lacking
        )
    refused = current_rejections(parts, fetches, {gap.session for gap in gaps})
    return Coverage(tuple(sorted(gaps, key=lambda gap: (gap.session, gap.symbol))), refused)


def _held(backend: Backend, since: date) -> dict[str, dict[date, str | None]]:
    """List, by symbol and session, what readers have (None) or where the bar in quarantine came from."""
    with backend.warehouse.open() as sql:
        rows = sql.query(
            statement("coverage/available_bars.sql").bind(
                {
                    "published_prices": sql.name(DAILY_PRICES),
                    "published_quarantine": sql.name(QUARANTINED_PRICES),
                    "since": since,
                }
            )
        ).to_pylist()
    held: dict[str, dict[date, str | None]] = {}
    # What is published hides a quarantined bar of the same session.
    for row in sorted(rows, key=lambda row: row["quarantined_from"] is None):
        held.setdefault(row["symbol"], {})[row["trade_date"]] = row["quarantined_from"]
    return held


def _lacking(
    backend: Backend, wanted: Sequence[date], fetches: Sequence[Fetch], held: Mapping[date, str | None]
) -> list[date]:
    """List the sessions that are neither published nor in quarantine as the newest answer has them."""
    reject_files = [session for session in wanted if held.get(session) is not None]
    newest = answers(fetches, reject_files)
    lacking = {
        session
        for session in reject_files
        # Where no answer came after the bell, the bar was set aside for that, and is still to be had.
        if session not in newest or _differs(backend, session, newest[session].response_key, str(held[session]))
    }
    return [session for session in wanted if session not in held or session in lacking]


def _differs(backend: Backend, session: date, newest: str, quarantined_from: str) -> bool:
    """Tell whether a newer answer has another bar than the one in quarantine."""
    return newest != quarantined_from and (
        bar_lines(backend, newest).get(session) != bar_lines(backend, quarantined_from).get(session)
    )


def _missing(symbol: str, session: date, fetches: Sequence[Fetch], reach: AvailableHistory | None) -> Gap:
    """Say of a bar that no answer has whether, and when, it is worth asking for."""
    if beyond([session], reach):
        return Gap(symbol, session, stored=False, due=None, why=why_unobtainable([session], reach))
    vain = [
        fetch
        for fetch in fetches
        # That the day's calls were spent says nothing about the bar, and neither do the files of others.
        if fetch.fetched_at >= closing_time(session)
        and fetch.outcome is not Outcome.DAILY_QUOTA
        and not fetch.is_landing_file
    ]
    if not vain:
        return Gap(symbol, session, stored=False, due=catch_up_starts(session), why="not asked for since the bell")
    answered = next((fetch for fetch in vain if fetch.outcome is Outcome.OK), None)
    outcome, why = judge_missing([session], answered, reach) if answered else (vain[0].outcome, vain[0].detail)
    attempts = _attempts([fetch.fetched_at for fetch in vain])
    if outcome is Outcome.UNOBTAINABLE or attempts > len(RETRY_DELAYS):
        return Gap(symbol, session, stored=False, due=None, why=f"{why} (asked {attempts} times)", asked=attempts)
    due = max(vain[0].fetched_at + RETRY_DELAYS[attempts - 1], catch_up_starts(session))
    return Gap(symbol, session, stored=False, due=due, why=why, asked=attempts)


def _attempts(newest_first: Collection[datetime]) -> int:
    """Count requests, taking those shortly after one another as one."""
    count, begun = 0, None
    for moment in sorted(newest_first):
        if begun is None or moment - begun >= ONE_ATTEMPT:
            count, begun = count + 1, moment
    return count
