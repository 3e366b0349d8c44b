"""The fetch ledger as objects of the bucket.

Belongs here: how requests are written, packed and read back. Does not belong here: what they mean.

Each request is one small object that is never changed. Once there are many, a reader packs them into one object and
removes them afterwards, so that a listing stays short; a request that is found in both places counts once. Packs are
joined until they are large, so there are few of them too. What was read is kept in memory, since nothing changes.
"""

import gzip
import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from uuid import uuid4

from stock_assets.backends.interface import Fetch, FetchKind, FetchLedger
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.core.errors import Outcome

_FOLDER = "ledger"
_READERS = 16
_LOOKS = 5
PACK_AFTER = 256
"""Loose requests of a kind at which they are packed."""
FULL_PACK = 20_000
"""Requests at which a pack is left as it is."""


@dataclass(frozen=True)
class _Entry:
    """A request and the order in which it came: the id sorts by the time of recording and is unique."""

    id: str
    fetch: Fetch


class S3Ledger(FetchLedger):
    """Shared by everything that writes to the bucket."""

    def __init__(self, objects: S3Objects, *, pack_after: int = PACK_AFTER) -> None:
        self._objects = objects
        self._pack_after = pack_after
        self._read: dict[str, tuple[_Entry, ...]] = {}

    def record(self, fetch: Fetch) -> None:
        """Put one object."""
        entry = _Entry(f"{time.time_ns():020d}-{uuid4().hex}", fetch)
        self._objects.put(f"{_folder(fetch.kind)}new/{entry.id}.json", _write([entry]))

    def fetches(self, kind: FetchKind, *, symbol: str | None = None, outcome: Outcome | None = None) -> list[Fetch]:
        """Read what is new since the last look, and choose."""
        entries = self._entries(kind)
        newest_first = sorted(entries.values(), key=lambda entry: (entry.fetch.fetched_at, entry.id), reverse=True)
        return [
            entry.fetch
            for entry in newest_first
            if symbol in (None, entry.fetch.symbol) and outcome in (None, entry.fetch.outcome)
        ]

    def _entries(self, kind: FetchKind) -> dict[str, _Entry]:
        for _ in range(_LOOKS):
            keys = self._objects.list(_folder(kind))
            try:
                entries = self._load(keys)
            except KeyError:
                # Packed by somebody between the listing and the reading.
                continue
            loose = [key for key in keys if "/new/" in key]
            if len(loose) > self._pack_after:
                self._pack(kind, loose, [key for key in keys if "/packed/" in key])
            return entries
        return self._load(self._objects.list(_folder(kind)))

    def _load(self, keys: list[str]) -> dict[str, _Entry]:
        unread = [key for key in keys if key not in self._read]
        with ThreadPoolExecutor(_READERS) as readers:
            for key, body in zip(unread, readers.map(self._objects.get, unread), strict=True):
                self._read[key] = tuple(_read(body))
        return {entry.id: entry for key in keys for entry in self._read[key]}

    def _pack(self, kind: FetchKind, loose: list[str], packs: list[str]) -> None:
        """Write the loose ones and the packs that are not full into one pack, then remove them, in this order."""
        joined = [*loose, *(key for key in packs if len(self._read[key]) < FULL_PACK)]
        entries = {entry.id: entry for key in joined for entry in self._read[key]}
        self._objects.put(f"{_folder(kind)}packed/{uuid4().hex}.json.gz", gzip.compress(_write(entries.values())))
        for key in joined:
            self._objects.delete(key)


def _folder(kind: FetchKind) -> str:
    return f"{_FOLDER}/{kind}/"


def _write(entries: Iterable[_Entry]) -> bytes:
    lines = (
        json.dumps({"id": entry.id, **asdict(entry.fetch)}, default=_text, ensure_ascii=False) for entry in entries
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _text(value: object) -> str:
    """Write dates and moments; moments in UTC."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _read(body: bytes) -> list[_Entry]:
    text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    return [_entry(json.loads(line)) for line in text.decode().splitlines()]


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
