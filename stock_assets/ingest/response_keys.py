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
_STATED = re.compile(r"/([0-9]{8}T[0-9]{12}Z)(?:-([0-9a-f]+))?/[^/]*$")


def response_key(kind: FetchKind, symbol: str, at: datetime, digest: str = "") -> str:
    """Return the key of a response, from the time of its request; `digest` distinguishes files with the same time."""
    suffix = "csv" if kind is FetchKind.PRICES else "json"
    folder = f"{at:{_TIME}}-{digest}" if digest else f"{at:{_TIME}}"
    return f"raw/{kind}/ingest_date={at:%Y-%m-%d}/{folder}/{symbol}.{suffix}"


def request_time(key: str) -> datetime | None:
    """Return the time in a key, or None if it is not the key of a response."""
    match = _STATED.search(key)
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC) if match else None


def file_digest(key: str) -> str:
    """Return the digest in the key of a response that was read from a file; empty for other keys."""
    match = _STATED.search(key)
    return (match[2] or "") if match else ""
