"""The fetch ledger as objects of the bucket.

Belongs here: writing, reading and packing the objects. Does not belong here: what they contain (`ledger_format`), the
table of their requests (`ledger_mirror`), queries of it (`backends.ledger_table`).

Requests that are recorded together are one small object that is never changed. When there are many objects, the next
process that reads the ledger packs them into one object and then removes them, so that a listing stays short; a request
that is found in both places counts once. Packs are joined until they are large, so there are few packs too. Objects
never change, so a machine reads each object once, into a mirror; after that, a block of queries lists the objects and
reads the new ones. A process does not read what it has recorded itself.
"""

import re
import sqlite3
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import md5, sha256
from itertools import islice
from pathlib import Path
from threading import Lock, RLock

from stock_assets.backends.interface import Fetch, FetchKind, FetchLedger
from stock_assets.backends.lakehouse import ledger_format
from stock_assets.backends.lakehouse.aws_session import REQUESTS_AT_ONCE
from stock_assets.backends.lakehouse.ledger_format import Entry
from stock_assets.backends.lakehouse.ledger_mirror import LedgerMirror
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.errors import ObjectExists
from stock_assets.core.retry import retrying
from stock_assets.core.text_cache import cache_folder

_FOLDER = "ledger/"
_ATTEMPTS = 6
_LONGEST_PAUSE_SECONDS = 1.0
PACK_AFTER = 256
"""Unpacked requests of one kind above which they are packed."""
FULL_PACK = 20_000
"""Requests from which on a pack is full and not joined any more."""
_PACK_NUMBER = re.compile(r"/packed/t(\d+)-")
_PACK_DIGITS = 32
_INSERTED_TOGETHER = 10_000
"""Requests from which on a transaction ends: it holds all that it inserts in memory."""


class S3Ledger(FetchLedger):
    """The ledger that all processes share that use this folder of the bucket.

    Args:
        objects: the folder.
        pack_after: unpacked requests of one kind above which this process packs them.
        cache: folder of the mirror; None for the user's cache.
    """

    def __init__(self, objects: S3Objects, *, pack_after: int = PACK_AFTER, cache: Path | None = None) -> None:
        self._objects = objects
        self._pack_after = pack_after
        self._lock = RLock()
        self._mirror = LedgerMirror(objects.full_address(_FOLDER), cache or cache_folder("ledger"))
        self._unpacked: dict[str, bytes] = {}
        """The unpacked objects that this process has written or read; they are read again for a pack."""

    def record(self, *fetches: Fetch) -> None:
        """Store the requests of each kind as one object."""
        entries = ledger_format.entries_of(fetches)
        for kind in dict.fromkeys(fetch.kind for fetch in fetches):
            of_kind = [entry for entry in entries if entry["kind"] is kind]
            key, body = f"{_loose(kind)}{of_kind[0]['id']}.json", ledger_format.write(of_kind)
            self._objects.put(key, body)
            self._unpacked[key] = body

    @contextmanager
    def read(self) -> Iterator[LedgerTable]:
        """List the objects, and read those that this machine has not read yet."""
        with self._lock:
            self._refresh()
            table = self._mirror.table(self._repaired)
        yield table

    def known_keys(self, keys: Iterable[str]) -> set[str]:
        """Look among the requests that this process has read; list the objects only if a key is not there."""
        wanted = set(keys)
        with self._lock:
            known = self._mirror.table(self._repaired).known_keys(wanted) if self._mirror.is_open else set[str]()
        return known if known == wanted else known | super().known_keys(wanted - known)

    def _refresh(self) -> None:
        """Make the mirror equal to the objects; build it again if its file is damaged."""
        with self._mirror.locked():
            while True:
                try:
                    self._pack_long(self._update())
                except sqlite3.DatabaseError:
                    if self._mirror.in_memory:
                        raise
                    self._mirror.restart()
                else:
                    return

    def _repaired(self, damaged: sqlite3.Connection) -> tuple[sqlite3.Connection, Lock]:
        """Build the mirror again after a query has failed, unless another thread has done so."""
        with self._lock:
            if self._mirror.opened[0] is damaged:
                with self._mirror.locked():
                    if self._mirror.opened[0] is damaged:
                        self._mirror.restart()
                self._refresh()
            return self._mirror.opened

    def _update(self) -> dict[str, str]:
        """List the objects, read the new ones and forget those that are gone; return the keys with their ETags."""
        listed = self._read_listed()
        if not self._mirror.keep(listed):
            # Requests are gone, or the listing had one page from before, and one from after a pack was written.
            listed = self._read_listed()
            if not self._mirror.keep(listed):
                self._mirror.restart()
                listed = self._read_listed()
                self._mirror.keep(listed)
        self._mirror.create_indexes()
        self._unpacked = {key: body for key, body in self._unpacked.items() if key in listed}
        return listed

    def _read_listed(self) -> dict[str, str]:
        def attempt() -> dict[str, str]:
            listed = dict(self._objects.etags(_FOLDER))
            known = self._mirror.counts()
            self._insert([key for key in listed if key not in known])
            return listed

        # KeyError: another process packed an object between the listing and the read.
        policy = retrying(attempts=_ATTEMPTS, longest_seconds=_LONGEST_PAUSE_SECONDS, first_seconds=0.05, on=KeyError)
        return policy(attempt)

    def _insert(self, unread: Sequence[str]) -> None:
        batch: dict[str, list[Entry]] = {}
        for key, body in self._bodies(unread):
            batch[key] = ledger_format.read(body)
            if sum(map(len, batch.values())) >= _INSERTED_TOGETHER:
                self._mirror.add(batch)
                batch = {}
        if batch:
            self._mirror.add(batch)

    def _bodies(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Read objects in several threads, a few in advance."""
        remaining = iter(keys)
        waiting = deque[tuple[str, Future[bytes]]]()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            while True:
                ahead = islice(remaining, 2 * REQUESTS_AT_ONCE - len(waiting))
                waiting.extend((key, threads.submit(self._body, key)) for key in ahead)
                if not waiting:
                    return
                key, body = waiting.popleft()
                yield key, body.result()

    def _body(self, key: str) -> bytes:
        if key in self._unpacked:
            return self._unpacked[key]
        body = self._objects.get(key)
        if "/new/" in key:
            self._unpacked[key] = body
        return body

    def _pack_long(self, listed: Mapping[str, str]) -> None:
        for kind in FetchKind:
            loose = [key for key in listed if key.startswith(_loose(kind))]
            if len(loose) > self._pack_after:
                counts = self._mirror.counts()
                packs = [key for key in listed if key.startswith(_packed(kind)) and counts[key] < FULL_PACK]
                self._remember_equal(loose, listed)
                self._pack(kind, [*loose, *packs], listed)

    def _pack(self, kind: FetchKind, joined: Sequence[str], listed: Iterable[str]) -> None:
        """Write the unpacked requests and the packs that are not full into one pack, and only then remove them."""
        try:
            entries = {entry["id"]: entry for _, body in self._bodies(joined) for entry in ledger_format.read(body)}
        except KeyError:
            # Another machine has packed them.
            return
        pack = f"{_packed(kind)}{_pack_name(entries, joined)}"
        # Another machine that packs the same requests at the same time writes the same pack.
        with suppress(ObjectExists):
            self._objects.put(pack, ledger_format.write_pack(entries.values()))
        self._objects.delete_keys(joined)
        self._mirror.add({pack: list(entries.values())})
        self._mirror.keep([*(set(listed) - set(joined)), pack])

    def _remember_equal(self, keys: Sequence[str], listed: Mapping[str, str]) -> None:
        """Take unpacked objects from the mirror, if their listed ETags show that the bucket has the same bytes.

        The ETag of an object that is encrypted with the keys of S3 is its MD5. Objects with other ETags are read.
        """
        unread = [key for key in keys if key not in self._unpacked]
        for key, body in self._mirror.bodies(unread):
            if listed[key].strip('"') == md5(body, usedforsecurity=False).hexdigest():
                self._unpacked[key] = body


def _pack_name(ids: Collection[str], joined: Iterable[str]) -> str:
    """Return the name of the pack of some requests, which sorts after the packs that it replaces.

    So every listing contains the old packs or the new one. Only the requests and these packs decide the name.
    """
    packs = [int(found[1]) for key in joined if (found := _PACK_NUMBER.search(key))]
    number = max([*packs, *(int(one.partition("-")[0]) for one in ids)]) + 1
    digest = sha256("\n".join(sorted(ids)).encode()).hexdigest()[:_PACK_DIGITS]
    return f"t{number:020d}-{digest}.json.gz"


def _loose(kind: FetchKind) -> str:
    return f"{_FOLDER}{kind}/new/"


def _packed(kind: FetchKind) -> str:
    return f"{_FOLDER}{kind}/packed/"
