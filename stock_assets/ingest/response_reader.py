"""Read a price response into the ledger entry that describes it.

Belongs here: the checks that reject a well-formed but implausible response. Does not belong here: its format
(`sources.raw_format`), or its numbers (the audits).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.core.calendar import NEW_YORK, sessions_between
from stock_assets.core.errors import MalformedResponse, Outcome
from stock_assets.core.text import plural
from stock_assets.ingest.requester import content_hash
from stock_assets.sources.interface import PriceSource

PriceReader = Callable[[str, bytes, str, datetime], Fetch]
"""Read (symbol, body, key of the stored object, time of arrival); raise the errors of `PriceSource.read_prices`."""


def price_reader(source: PriceSource, stored: Mapping[str, Sequence[Fetch]]) -> PriceReader:
    """Return the function that reads a price response; `stored` are the ledger entries by symbol."""
    owners = {
        fetch.content_hash: symbol
        for symbol, fetches in stored.items()
        for fetch in fetches
        if fetch.outcome is Outcome.OK
    }

    def read(symbol: str, body: bytes, response_key: str, arrived: datetime) -> Fetch:
        rows = source.read_prices(body, symbol).until(arrived.astimezone(NEW_YORK).date(), symbol)
        sessions = rows.sessions
        first, last, held = sessions[-1], sessions[0], set(sessions)
        digest = content_hash(body)
        owner = owners.setdefault(digest, symbol)
        if owner != symbol and source.terms.distinct_responses:
            raise MalformedResponse(f"the response is byte for byte the response of {owner}", symbol=symbol)
        return Fetch(
            symbol=symbol,
            kind=FetchKind.PRICES,
            fetched_at=arrived,
            outcome=Outcome.OK,
            response_key=response_key,
            first_session=first,
            last_session=last,
            missing_sessions=tuple(session for session in sessions_between(first, last) if session not in held),
            content_hash=digest,
            calls=1,
            detail="; ".join(
                filter(None, [f"{plural(len(held), 'session')}, {first} to {last}", rows.describe_unusable()])
            ),
        )

    return read
