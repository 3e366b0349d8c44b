"""Store bars that were read from files as responses, one for each symbol.

Belongs here: what landing files and imports share: bodies, ledger entries, and the order of storing. Does not belong
here: reading files (`price_files`), which bars are stored (`landing_files`, `legacy_import`).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.errors import ObjectExists, Outcome
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.ingest.response_keys import response_key
from stock_assets.ingest.response_reader import PriceReader


@dataclass(frozen=True)
class FileResponse:
    """The bars of one symbol as a response.

    Attributes:
        fetch: its entry in the ledger.
        body: the bars in the vendor's format.
    """

    fetch: Fetch
    body: bytes


def response_body(lines: Iterable[str]) -> bytes:
    """Return a response in the vendor's format."""
    return "".join(f"{line}\r\n" for line in (",".join(RAW_COLUMNS), *lines)).encode()


def file_response(
    reader: PriceReader, symbol: str, body: bytes, written_at: datetime, *, digest: str, origin: str
) -> FileResponse:
    """Read the bars of a symbol as a response that used no call.

    Args:
        reader: reads price responses.
        symbol: ticker.
        body: the bars in the vendor's format.
        written_at: when the file counts as written, aware, UTC.
        digest: distinguishes files with the same time.
        origin: where the bars come from, for people.

    Raises:
        SourceError: as for `PriceReader`.
    """
    fetch = reader(symbol, body, response_key(FetchKind.PRICES, symbol, written_at, digest), written_at)
    return FileResponse(replace(fetch, calls=0, detail=f"{fetch.detail}, {origin}"), body)


def store_responses(
    backend: Backend,
    responses: Iterable[FileResponse],
    *,
    noted: Collection[str],
    recorded: Collection[str],
    at: datetime,
) -> None:
    """Note the key of each response, store it, and record it, in this order; skip what an earlier attempt has done.

    In any other order, a process that is killed leaves an object that the landing files sensor would register again.

    Args:
        backend: where to store.
        responses: the responses.
        noted: keys in the ledger as landing files.
        recorded: keys in the ledger as price responses.
        at: now, aware, UTC.
    """
    for response in responses:
        fetch, key = response.fetch, response.fetch.response_key
        if key not in noted:
            name = f"{fetch.symbol}.csv"
            backend.ledger.record(
                Fetch(name, FetchKind.LANDING_FILES, at, Outcome.OK, response_key=key, detail=fetch.detail)
            )
        _store(backend, key, response.body)
        if key not in recorded:
            backend.ledger.record(fetch)


def _store(backend: Backend, key: str, body: bytes) -> None:
    try:
        backend.objects.put(key, body)
    except ObjectExists:
        # An earlier attempt was killed after storing the object.
        if backend.objects.get(key) != body:
            raise
