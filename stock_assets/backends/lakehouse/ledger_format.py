"""The objects of the ledger: one JSON object per request and line, compressed if the object is a pack.

Belongs here: writing lines, and reading them as rows of the table of requests. Does not belong here: keys and packing
(`ledger`), the table (`backends.ledger_table`).
"""

import gzip
import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any
from uuid import uuid4

from stock_assets.backends.interface import Fetch

Entry = dict[str, Any]
"""A request as JSON has it, with a unique id that sorts by the time of recording."""
COLUMNS = ("id", *Fetch._fields)
_values = itemgetter(*COLUMNS)
_GZIP = b"\x1f\x8b"
_TIME_DIGITS = 20
_NO_MICROSECONDS = ".000000"
_WHOLE_SECONDS = len("2012-03-01T22:00:00")


def entries_of(fetches: Iterable[Fetch]) -> list[Entry]:
    """Return requests with new ids."""
    return [{"id": f"{time.time_ns():0{_TIME_DIGITS}d}-{uuid4().hex}", **fetch._asdict()} for fetch in fetches]


def write(entries: Iterable[Entry]) -> bytes:
    """Return the lines of some requests."""
    lines = (json.dumps(entry, default=_text, ensure_ascii=False) for entry in entries)
    return "".join(f"{line}\n" for line in lines).encode()


def write_pack(entries: Iterable[Entry]) -> bytes:
    """Return the compressed lines of some requests."""
    return gzip.compress(write(entries))


def read(body: bytes) -> list[Entry]:
    """Return the requests of an object."""
    lines = gzip.decompress(body) if body.startswith(_GZIP) else body
    # As one text: half the time of one text per line.
    found: list[Entry] = json.loads(b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]")
    return found


def row(entry: Entry) -> tuple[Any, ...]:
    """Return a request as the row of `COLUMNS`, without constructing it: that takes longer than the insertion."""
    values = list(_values(entry))
    values[_FETCHED_AT] = _with_microseconds(values[_FETCHED_AT])
    values[_MISSING] = json.dumps(values[_MISSING]) if values[_MISSING] else "[]"
    return tuple(values)


def entry(found: Sequence[Any]) -> Entry:
    """Return the request of a row of `COLUMNS`, as `read` has returned it."""
    values = list(found)
    values[_FETCHED_AT] = values[_FETCHED_AT].replace(_NO_MICROSECONDS, "", 1)
    values[_MISSING] = json.loads(values[_MISSING])
    return dict(zip(COLUMNS, values, strict=True))


_FETCHED_AT, _MISSING = COLUMNS.index("fetched_at"), COLUMNS.index("missing_sessions")


def _with_microseconds(timestamp: str) -> str:
    """Return a timestamp as the table has it; Python leaves out microseconds of zero."""
    seconds, rest = timestamp[:_WHOLE_SECONDS], timestamp[_WHOLE_SECONDS:]
    return timestamp if rest.startswith(".") else f"{seconds}{_NO_MICROSECONDS}{rest}"


def _text(value: object) -> str:
    """Format dates and timestamps; timestamps in UTC."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
