"""Read stored responses and compare them with their checksums in the ledger.

Belongs here: what makes a stored response damaged. Does not belong here: what follows from it
(`loads.damaged_responses`, `ingest.ledger_queries`).
"""

from collections.abc import Iterable

from stock_assets.backends.interface import Fetch, FetchKind, Objects
from stock_assets.core.errors import DamagedResponses
from stock_assets.core.text import plural


def read_responses_together(objects: Objects, kind: FetchKind, fetches: Iterable[Fetch]) -> dict[str, bytes]:
    """Return the bodies of undamaged responses by key, if the backend reads many faster together than one by one.

    `read_response` reads the others, and finds out why one is damaged.
    """
    by_key = {fetch.response_key: fetch for fetch in fetches}
    found = objects.get_together(f"raw/{kind}/", by_key.keys())
    return {key: body for key, body in found.items() if by_key[key].is_response(body)}


def read_response(objects: Objects, fetch: Fetch) -> bytes:
    """Return the body of a stored response.

    Raises:
        DamagedResponses: the response is missing, cannot be read, or differs from its checksum.
    """
    try:
        body = objects.get(fetch.response_key)
    except KeyError:
        why = "it is missing"
    except OSError as error:
        why = f"it cannot be read: {error}"
    else:
        if fetch.is_response(body):
            return body
        why = f"its {plural(len(body), 'byte differs', 'bytes differ')} from the SHA-256 in the ledger"
    raise DamagedResponses({fetch.response_key: why})
