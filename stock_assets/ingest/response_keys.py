"""The keys of raw responses: a folder for each day and time of a request, and a file for the symbol.

Belongs here: building these keys, and reading the time in them. Does not belong here: storing responses (`requester`,
`file_responses`), other information in names of files and folders (`price_files.paths`).
"""

import re
from datetime import UTC, datetime

from stock_assets.backends.interface import FetchKind

FOLDER = f"raw/{FetchKind.PRICES}/"
"""Folder of price responses, and the area for landing files."""
_TIME = "%Y%m%dT%H%M%S%fZ"
_STATED = re.compile(r"/([0-9]{8}T[0-9]{12}Z)(?:-clock-([0-9]{8}T[0-9]{12}Z))?(?:-([0-9a-f]+))?/[^/]*$")


def response_key(kind: FetchKind, symbol: str, at: datetime, digest: str = "", *, clock: datetime | None = None) -> str:
    """Return the key of a response.

    Args:
        kind: kind of the request.
        symbol: ticker.
        at: time of the request.
        digest: distinguishes files with the same time.
        clock: what the clock showed, if it was behind the time of an earlier request, which `at` follows.
    """
    suffix = "csv" if kind is FetchKind.PRICES else "json"
    parts = [f"{at:{_TIME}}", f"clock-{clock:{_TIME}}" if clock else "", digest]
    folder = "-".join(filter(None, parts))
    return f"raw/{kind}/ingest_date={clock or at:%Y-%m-%d}/{folder}/{symbol}.{suffix}"


def request_time(key: str) -> datetime | None:
    """Return the time in a key, or None if it is not the key of a response."""
    return _stated(key, 1)


def clock_time(key: str) -> datetime | None:
    """Return what the clock showed when a response arrived, if the time in its key is a later one; else None."""
    return _stated(key, 2)


def _stated(key: str, part: int) -> datetime | None:
    match = _STATED.search(key)
    return datetime.strptime(match[part], _TIME).replace(tzinfo=UTC) if match and match[part] else None


def file_digest(key: str) -> str:
    """Return the digest in the key of a response that was read from a file; empty for other keys."""
    match = _STATED.search(key)
    return (match[3] or "") if match else ""
