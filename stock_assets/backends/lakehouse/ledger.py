"""The fetch ledger as objects of the bucket.

Belongs here: writing, packing and reading records of requests. Does not belong here: what the records mean, queries of
them (`backends.ledger_table`).

Requests that are recorded together are one small object that is never changed. When there are many objects, the next
process that reads the ledger packs them into one object and then removes them, so that a listing stays short; a request
that is found in both places counts once. Packs are joined until they are large, so there are few packs too. Objects
never change, so a process reads each object once, into a table in memory; after that, a block of queries lists the
objects and reads the new ones.
"""

import gzip
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from threading import RLock
from uuid import uuid4

from stock_assets.backends.interface import Fetch, FetchKind, FetchLedger
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.ledger_table import LedgerTable, table_in_memory
from stock_assets.core.errors import Outcome
from stock_assets.core.retry import retrying

_FOLDER = "ledger/"
_THREADS = 16
_ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 1.0
PACK_AFTER = 256
"""Unpacked requests of one kind above which they are packed."""
FULL_PACK = 20_000
"""Requests from which on a pack is full and not joined any more."""


@dataclass(frozen=True)
class _Entry:
    """A request with a unique id that sorts by the time of recording."""

    id: str
    fetch: Fetch


class S3Ledger(FetchLedger):
    """The ledger that all processes share that use this folder of the bucket."""

    def __init__(self, objects: S3Objects, *, pack_after: int = PACK_AFTER) -> None:
        self._objects = objects
        self._pack_after = pack_after
        self._lock = RLock()
        self._bodies: dict[str, bytes] = {}
        """The objects that were read; empty for full packs, which are not read again."""
        self._table = LedgerTable(table_in_memory())

    def record(self, *fetches: Fetch) -> None:
        """Store the requests of each kind as one object."""
        entries = [_Entry(f"{time.time_ns():020d}-{uuid4().hex}", fetch) for fetch in fetches]
        for kind in dict.fromkeys(fetch.kind for fetch in fetches):
            of_kind = [entry for entry in entries if entry.fetch.kind is kind]
            self._objects.put(f"{_folder(kind)}new/{of_kind[0].id}.json", _write(of_kind))

    @contextmanager
    def read(self) -> Iterator[LedgerTable]:
        """List the objects, and read those that this process has not read yet."""
        with self._lock:
            self._refresh()
        yield self._table

    def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Look among the requests that this process has read; list the objects only if a key is not there."""
        wanted = set(keys)
        known = self._table.known_keys(wanted)
        return known if known == wanted else known | super().known_keys(wanted - known)

    def _refresh(self) -> None:
        def attempt() -> list[str]:
            keys = self._objects.keys(_FOLDER)
            self._load(keys)
            return keys

        # KeyError: another process packed an object between the listing and the read.
        policy = retrying(attempts=_ATTEMPTS, longest_seconds=_LONGEST_PAUSE_SECONDS, first_seconds=0.05, on=KeyError)
        keys = policy(attempt)
        for kind in FetchKind:
            loose = [key for key in keys if key.startswith(f"{_folder(kind)}new/")]
            if len(loose) > self._pack_after:
                self._pack(kind, loose, [key for key in keys if key.startswith(f"{_folder(kind)}packed/")])

    def _load(self, keys: list[str]) -> None:
        self._bodies = {key: self._bodies[key] for key in keys if key in self._bodies}
        unread = [key for key in keys if key not in self._bodies]
        with ThreadPoolExecutor(_THREADS) as threads:
            for key, body in zip(unread, threads.map(self._objects.get, unread), strict=True):
                entries = _read(body)
                self._table.insert([(entry.id, entry.fetch) for entry in entries])
                self._bodies[key] = b"" if len(entries) >= FULL_PACK else body

    def _pack(self, kind: FetchKind, loose: list[str], packs: list[str]) -> None:
        """Write the unpacked requests and the packs that are not full into one pack, and only then remove them."""
        joined = [*loose, *(key for key in packs if self._bodies[key])]
        entries = {entry.id: entry for key in joined for entry in _read(self._bodies[key])}
        self._objects.put(f"{_folder(kind)}packed/{uuid4().hex}.json.gz", gzip.compress(_write(entries.values())))
        for key in joined:
            self._objects.delete(key)


def _folder(kind: FetchKind) -> str:
    return f"{_FOLDER}{kind}/"


def _write(entries: Iterable[_Entry]) -> bytes:
    lines = (
        json.dumps({"id": entry.id, **entry.fetch._asdict()}, default=_text, ensure_ascii=False) for entry in entries
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _text(value: object) -> str:
    """Format dates and timestamps; timestamps in UTC."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _read(body: bytes) -> list[_Entry]:
    text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    return [_entry(json.loads(line)) for line in text.decode().split("\n") if line]


def _entry(stored: dict[str, str]) -> _Entry:
    fields = {name: value for name, value in stored.items() if name != "id"}
    days = {name: date.fromisoformat(fields[name]) for name in ("first_session", "last_session") if fields[name]}
    fetch = Fetch(
        **{  # type: ignore[arg-type]  # the fields of a Fetch, as JSON has them
            **fields,
            **days,
            "kind": FetchKind(fields["kind"]),
            "outcome": Outcome(fields["outcome"]),
            "fetched_at": datetime.fromisoformat(fields["fetched_at"]),
            "missing_sessions": tuple(map(date.fromisoformat, fields["missing_sessions"])),
        }
    )
    return _Entry(stored["id"], fetch)
