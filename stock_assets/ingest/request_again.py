"""Requests for stored bars: which sessions the vendor can still return, and which requests failed.

Belongs here: what `backfill --again` has to report about requests. Does not belong here: sending them
(`price_requests`), printing (`cli`).
"""

from collections.abc import Sequence
from datetime import date, datetime

from stock_assets.backends.interface import FetchKind
from stock_assets.core.errors import Outcome
from stock_assets.ingest.ledger_queries import before_available_history
from stock_assets.ingest.outcomes import REMEDY
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import format_unobtainable


def split_by_history(parts: PipelineParts, sessions: Sequence[date], at: datetime) -> tuple[list[date], str]:
    """Return the sessions that responses can contain at present, and a line about the others; empty without any."""
    available = parts.source.available_history(at)
    too_old = before_available_history(sessions, available)
    return (
        [session for session in sessions if session not in too_old],
        format_unobtainable(too_old, available) if too_old else "",
    )


def failed_since(parts: PipelineParts, symbols: Sequence[str], since: datetime) -> list[str]:
    """Return a line for each symbol whose newest request since a timestamp failed: the reason and the remedy."""
    failed = []
    with parts.backend.ledger.read() as ledger:
        latest = ledger.latest(FetchKind.PRICES, symbols)
    for newest, *_ in latest.values():
        if newest.fetched_at >= since and newest.outcome is not Outcome.OK:
            failed.append(f"{newest.detail}. What to do: {REMEDY[newest.outcome]}")
    return failed
