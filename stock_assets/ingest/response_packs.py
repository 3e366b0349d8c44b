"""Pack the raw responses of past days, so that the number of files does not grow with symbols and sessions.

Belongs here: which responses are packed. Does not belong here: packs (`backends.local.packs`), when maintenance runs.
"""

from datetime import datetime, timedelta

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.ingest.response_keys import request_time

PACK_AFTER = timedelta(days=7)
"""Age at which a response is packed; the responses of a week stay files that people can open."""


def pack_responses(backend: Backend, at: datetime) -> int:
    """Pack the old responses that the ledger knows and that are intact; return their number.

    A response that the ledger does not know may be a landing file that is not registered yet. A response that differs
    from its checksum stays a file, so that its original can be restored from a backup.
    """
    if not backend.objects.has_packs:
        # Listing all responses and reading their requests would cost more with each year.
        return 0
    return sum(_pack(backend, kind, at - PACK_AFTER) for kind in (FetchKind.PRICES, FetchKind.SPLITS))


def _pack(backend: Backend, kind: FetchKind, before: datetime) -> int:
    times = {entry.key: request_time(entry.key) for entry in backend.objects.entries(f"raw/{kind}/")}
    old = {key for key, time in times.items() if time is not None and time < before}
    with backend.ledger.read() as ledger:
        known = {fetch.response_key: fetch for fetch in ledger.with_keys(old, kind)}
    return backend.objects.pack(key for key, fetch in known.items() if fetch.is_response(backend.objects.get(key)))
