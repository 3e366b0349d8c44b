"""Read stored responses and compare them with their checksums in the ledger.

Belongs here: what makes a stored response damaged. Does not belong here: what follows from it
(`loads.damaged_responses`, `ingest.ledger_queries`).
"""

from stock_assets.backends.interface import Fetch, Objects
from stock_assets.core.errors import DamagedResponses


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
        why = f"its {len(body)} bytes differ from the SHA-256 in the ledger"
    raise DamagedResponses({fetch.response_key: why})
