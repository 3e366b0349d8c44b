"""Store bars that were read from files as responses, one for each symbol.

Belongs here: what landing files and imports share: bodies, ledger entries, and the order of storing. Does not belong
here: reading files (`price_files`), which bars are stored (`landing_files`, `legacy_import`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
        digest: distinguishes files with the same time, in the key of the response.
    """

    fetch: Fetch
    body: bytes
    digest: str


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
    return FileResponse(fetch._replace(calls=0, detail=f"{fetch.detail}, {origin}"), body, digest)


def store_responses(backend: Backend, responses: Sequence[FileResponse], *, at: datetime) -> None:
    """Note the key of each response, store it, and record it, in this order; skip what an earlier attempt has done.

    In any other order, a process that is killed leaves an object that the landing files sensor would register again.

    Args:
        backend: where to store.
        responses: the responses.
        at: now, aware, UTC.
    """
    with backend.ledger.read() as ledger:
        entries = ledger.with_keys(response.fetch.response_key for response in responses)
    known = {(fetch.kind, fetch.response_key) for fetch in entries}
    for response in responses:
        fetch, key = response.fetch, response.fetch.response_key
        if (FetchKind.LANDING_FILES, key) not in known:
            name = f"{fetch.symbol}.csv"
            note = Fetch(name, FetchKind.LANDING_FILES, at, Outcome.OK, key, detail=fetch.detail)
            backend.ledger.record(note._replace(content_hash=response.digest))
        _store(backend, key, response.body)
        if (FetchKind.PRICES, key) not in known:
            backend.ledger.record(fetch)


def _store(backend: Backend, key: str, body: bytes) -> None:
    try:
        backend.objects.put(key, body)
    except ObjectExists:
        # An earlier attempt was killed after storing the object.
        if backend.objects.get(key) != body:
            raise
