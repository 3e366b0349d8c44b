"""Reads a stored price answer into what the ledger keeps of it.

Belongs here: what makes a well-formed answer implausible. Does not belong here: its form (`source`), or its numbers
(the audits).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.errors import MalformedResponse, Outcome
from stock_assets.ingest.requester import content_hash
from stock_assets.sources.interface import PriceSource

PriceReader = Callable[[str, bytes, str, datetime], Fetch]
"""Reads (symbol, body, key of the stored object, time of arrival); raises the errors of `PriceSource.read_prices`."""


def price_reader(source: PriceSource, stored: Mapping[str, Sequence[Fetch]]) -> PriceReader:
    """Make the function that reads a price answer, with what is stored already, by symbol."""
    owners = {
        fetch.content_hash: symbol
        for symbol, fetches in stored.items()
        for fetch in fetches
        if fetch.outcome is Outcome.OK
    }

    def read(symbol: str, body: bytes, payload: str, arrived: datetime) -> Fetch:
        held = set(source.read_prices(body, symbol))
        first, last = min(held), max(held)
        if last > arrived.astimezone(NEW_YORK).date():
            raise MalformedResponse(f"the newest bar is of {last}, a day to come", symbol=symbol)
        digest = content_hash(body)
        owner = owners.setdefault(digest, symbol)
        if owner != symbol and source.terms.distinct_responses:
            raise MalformedResponse(f"these are the very bytes of {owner}'s answer", symbol=symbol)
        return Fetch(
            symbol=symbol,
            kind=FetchKind.PRICES,
            fetched_at=arrived,
            outcome=Outcome.OK,
            response_key=payload,
            first_session=first,
            last_session=last,
            missing_sessions=tuple(session for session in sessions_between(first, last) if session not in held),
            content_hash=digest,
            calls=1,
            detail=f"{len(held)} sessions, {first} to {last}",
        )

    return read
