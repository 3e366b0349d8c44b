"""The status of each symbol for some sessions, computed from the ledger alone.

Belongs here: which sessions are missing, since when and why. Does not belong here: showing it (`orchestration.checks`,
`cli`), or requesting the missing sessions (`price_requests`).
"""

from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import closing_time
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.text import plural
from stock_assets.core.vendor_facts import AvailableHistory
from stock_assets.ingest.ledger_queries import before_available_history, missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import classify_missing, format_unobtainable


class SymbolStatus(NamedTuple):
    """The status of one symbol. A tuple, because a check constructs one for each symbol.

    Attributes:
        symbol: ticker.
        outcome: OK when every wanted session is stored, else why sessions are missing.
        wanted: sessions on which the symbol was listed.
        missing: sessions that no response fetched after their market close contains.
        since: start of the problem: the first of the latest consecutive failed requests, or, if the vendor responds
            without the bar, the close of the first missing session; None when nothing is missing.
        last_requested_at: time of the newest request, or None.
        why: one line for people.
    """

    symbol: str
    outcome: Outcome
    wanted: tuple[date, ...]
    missing: tuple[date, ...]
    since: datetime | None
    last_requested_at: datetime | None
    why: str


def symbol_statuses(parts: PipelineParts, sessions: Sequence[date], *, now: Clock = utc_now) -> list[SymbolStatus]:
    """Return the status of every symbol for the sessions, in the order of the universe."""
    available, ordered = parts.source.available_history(now()), sorted(set(sessions))
    with parts.backend.ledger.read() as ledger:
        newest = ledger.newest(FetchKind.PRICES, parts.universe.symbols)
        latest = ledger.latest(FetchKind.PRICES, newest=newest)
        wanted = {symbol: parts.universe.listed_sessions(symbol, ordered) for symbol in parts.universe.symbols}
        missing = missing_sessions(ledger, wanted, newest)
    return [
        _status(symbol, wanted[symbol], missing[symbol], latest.get(symbol, []), available)
        for symbol in parts.universe.symbols
    ]


def _status(
    symbol: str,
    wanted: tuple[date, ...],
    missing: tuple[date, ...],
    fetches: Sequence[Fetch],
    available: AvailableHistory | None,
) -> SymbolStatus:
    last_requested_at = None
    for fetch in fetches:
        if fetch.calls:
            last_requested_at = fetch.fetched_at
            break
    if not missing:
        return SymbolStatus(symbol, Outcome.OK, wanted, (), None, last_requested_at, _stored(len(wanted)))
    fetches = [fetch for fetch in fetches if not fetch.is_landing_file]
    failing = list(takewhile(lambda fetch: fetch.outcome is not Outcome.OK, fetches))
    since: datetime = closing_time(missing[0])
    if len(before_available_history(missing, available)) == len(missing):
        outcome, why = Outcome.UNOBTAINABLE, format_unobtainable(missing, available)
    elif failing:
        outcome, why, since = failing[0].outcome, failing[0].detail, failing[-1].fetched_at
    elif fetches and fetches[0].fetched_at >= since:
        outcome, why = classify_missing(missing, fetches[0], available)
    else:
        outcome, why = Outcome.LATE, "not requested since the session closed"
    return SymbolStatus(symbol, outcome, wanted, missing, since, last_requested_at, why)


@cache
def _stored(sessions: int) -> str:
    return f"{sessions:,} of {plural(sessions, 'session')} stored" if sessions else "not listed in these sessions"
