"""The markers of purged symbols: responses before a marker stay stored and do not count.

Belongs here: writing a marker, its ledger entry, and which symbols are purged. Does not belong here: removing rows
(`maintenance.purge`), leaving responses out (`backends.ledger_table`).

A marker is an object below `raw/purges/`, beside the responses that it ends: backups, copies and a rebuilt ledger have
it. Its key has the symbol and the time, so its content is known from its name.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import ObjectExists, Outcome
from stock_assets.ingest.response_keys import request_time, response_key

_MICROSECOND = timedelta(microseconds=1)


def mark_purged(backend: Backend, symbol: str, at: datetime) -> None:
    """Record durably that the history of a symbol was purged; call it again if it was interrupted."""
    newest = [fetch.fetched_at for kind in _ENDED for fetch in backend.ledger.fetches(kind, symbol=symbol)[:1]]
    # The clock may have been set back since a response was stored.
    entry = marker_entry(symbol, max([at, *(time + _MICROSECOND for time in newest)]))
    put_marker(backend, entry)
    # A purge that was killed here left a marker that the ledger does not know.
    stored = [key for key in backend.objects.keys(f"raw/{FetchKind.PURGES}/") if PurePosixPath(key).stem == symbol]
    known = backend.ledger.known_keys(stored)
    backend.ledger.record(*(found for key in stored if key not in known and (found := entry_of_key(key))))


def put_marker(backend: Backend, entry: Fetch) -> None:
    """Store the object of a marker, if it is missing."""
    with suppress(ObjectExists):
        backend.objects.put(entry.response_key, _body(entry.symbol, entry.fetched_at))


def marker_entry(symbol: str, at: datetime) -> Fetch:
    """Return the ledger entry of a marker."""
    key = response_key(FetchKind.PURGES, symbol, at)
    digest = content_hash(_body(symbol, at))
    return Fetch(symbol, FetchKind.PURGES, at, Outcome.OK, key, content_hash=digest, detail="history purged")


def entry_of_key(key: str) -> Fetch | None:
    """Return the ledger entry of a stored marker; None if the key is not that of a marker."""
    at = request_time(key)
    return marker_entry(PurePosixPath(key).stem, at) if at is not None else None


def purged_at(ledger: LedgerTable, symbol: str) -> datetime | None:
    """Return when the history of a symbol was purged last; None if it never was."""
    found = ledger.fetches(FetchKind.PURGES, symbol=symbol, limit=1)
    return found[0].fetched_at if found else None


def without_history(ledger: LedgerTable) -> list[str]:
    """Return the purged symbols of which no response counts, sorted: no table should have rows of them."""
    purged = ledger.symbols(FetchKind.PURGES)
    return [symbol for symbol in purged if not any(True for _ in ledger.responses(symbol, [date.min, date.max]))]


def from_before_a_purge(ledger: LedgerTable, fetches: Iterable[Fetch]) -> list[str]:
    """Return the symbols of responses that no longer count, sorted."""
    purged = {symbol: purged_at(ledger, symbol) for symbol in ledger.symbols(FetchKind.PURGES)}
    return sorted(
        {fetch.symbol for fetch in fetches if (at := purged.get(fetch.symbol)) is not None and fetch.fetched_at <= at}
    )


_ENDED = (FetchKind.PRICES, FetchKind.SPLITS)


def _body(symbol: str, at: datetime) -> bytes:
    return json.dumps({"symbol": symbol, "purged_at": at.isoformat()}).encode() + b"\n"
