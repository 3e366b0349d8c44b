"""How each symbol stands for some sessions, read from the ledger alone.

Belongs here: what is missing, since when and why. Does not belong here: how it is shown (`checks`, the command
line), or doing anything about it (`fetch`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import takewhile

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import closing_time
from stock_assets.core.clock import Clock, utc_now
from stock_assets.core.errors import Outcome
from stock_assets.core.universe import Listing
from stock_assets.ingest.ledger_queries import before_available_history, group_by_symbol, missing_sessions
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import classify_missing, format_unobtainable
from stock_assets.sources.interface import AvailableHistory


@dataclass(frozen=True)
class SymbolStatus:
    """How one symbol stands.

    Attributes:
        symbol: ticker.
        outcome: OK when every wanted session is stored, else why the missing ones are.
        wanted: sessions on which the symbol was listed.
        missing: those that no answer fetched after their close holds.
        since: begin of the trouble: the first of the requests that failed in a row, or, if the vendor answers but
            has no bar, the close of the first missing session; None when nothing is missing.
        last_requested_at: time of the newest request that was made, or None.
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
    """Say how every symbol stands for the sessions, in the order of the universe."""
    stored = group_by_symbol(parts.backend.ledger.fetches(FetchKind.PRICES))
    reach = parts.source.available_history(now())
    return [_standing(listing, sessions, stored.get(listing.symbol, []), reach) for listing in parts.universe.listings]


def _standing(
    listing: Listing, sessions: Sequence[date], fetches: Sequence[Fetch], reach: AvailableHistory | None
) -> SymbolStatus:
    wanted = tuple(session for session in sessions if listing.covers(session))
    missing = missing_sessions(wanted, fetches)
    last_requested_at = next((fetch.fetched_at for fetch in fetches if fetch.calls), None)
    fetches = [fetch for fetch in fetches if not fetch.is_landing_file]
    if not missing:
        why = f"{len(wanted)} of {len(wanted)} sessions stored" if wanted else "not listed in these sessions"
        return SymbolStatus(listing.symbol, Outcome.OK, wanted, (), None, last_requested_at, why)
    failing = list(takewhile(lambda fetch: fetch.outcome is not Outcome.OK, fetches))
    since: datetime = closing_time(missing[0])
    if len(before_available_history(missing, reach)) == len(missing):
        outcome, why = Outcome.UNOBTAINABLE, format_unobtainable(missing, reach)
    elif failing:
        outcome, why, since = failing[0].outcome, failing[0].detail, failing[-1].fetched_at
    elif fetches and fetches[0].fetched_at >= since:
        outcome, why = classify_missing(missing, fetches[0], reach)
    else:
        outcome, why = Outcome.LATE, "not asked for since the session closed"
    return SymbolStatus(listing.symbol, outcome, wanted, missing, since, last_requested_at, why)
