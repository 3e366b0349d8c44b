"""Small objects that processes of this machine have read, in a file of the user's cache.

Belongs here: the file, and which of its objects are still as in the bucket. Does not belong here: reading objects
(`objects`), what they mean (`ingest.ledger_queries`).

Reading thousands of small objects takes long, and a listing has the ETags of a thousand objects. So a process lists
them and takes those from the file whose ETag is the same; one that was removed or replaced is read, and its damage is
found. Others are read in several threads. The file only saves time: it is written completely or not at all, so
processes may share it, and the last writer wins. A damaged file is ignored. If the folder cannot be written,
nothing is cached.
"""

import contextlib
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from stock_assets.backends.lakehouse.aws_session import REQUESTS_AT_ONCE
from stock_assets.backends.lakehouse.objects import S3Objects

_FEW = 12
"""Objects that are read without a listing, which costs as much."""
_VERSION = 1
_UNUSED_SECONDS = 90 * 24 * 3600
"""Files that no process has used for this time are deleted."""


class _Cached(NamedTuple):
    etag: str
    body: bytes


class CachedObjects:
    """The objects below a prefix.

    Args:
        objects: the folder of the bucket.
        prefix: prefix that ends with `/`.
        cache: folder of the file; it may not exist.
    """

    def __init__(self, objects: S3Objects, prefix: str, cache: Path) -> None:
        self._objects = objects
        self._prefix = prefix
        name = sha256(f"{_VERSION} {objects.full_address(prefix)}".encode()).hexdigest()[:32]
        self._file = cache / f"{name}.json"

    def read(self, keys: Collection[str]) -> Mapping[str, bytes]:
        """Return the bodies of these objects; those that do not exist are left out.

        What was read before an error is in the file, so that the next process does not read it again.
        """
        wanted, before = set(keys), self._read_file()
        cached, unchanged = dict(before), set[str]()
        if len(wanted & before.keys()) > _FEW:
            listed = dict(self._objects.etags(self._prefix))
            cached = {key: found for key, found in before.items() if listed.get(key) == found.etag}
            unchanged = wanted & cached.keys()
        try:
            self._read_into(cached, wanted - unchanged)
        finally:
            if cached != before:
                with contextlib.suppress(OSError):
                    self._write_file(cached)
        return {key: cached[key].body for key in wanted & cached.keys()}

    def _read_into(self, cached: dict[str, _Cached], keys: Collection[str]) -> None:
        """Read objects in several threads; those that do not exist are removed from `cached`."""

        def read(key: str) -> None:
            try:
                body, etag = self._objects.get_version(key)
            except KeyError:
                cached.pop(key, None)
            else:
                cached[key] = _Cached(etag, body)

        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads:
            deque(threads.map(read, sorted(keys)), maxlen=0)

    def _read_file(self) -> dict[str, _Cached]:
        try:
            digest, _, stored = self._file.read_bytes().partition(b"\n")
        except OSError:
            return {}
        if digest != _digest(stored):
            return {}
        # A file that is only read must not look unused.
        with contextlib.suppress(OSError):
            os.utime(self._file)
        return {key: _Cached(etag, body.encode("latin-1")) for key, (etag, body) in json.loads(stored).items()}

    def _write_file(self, cached: Mapping[str, _Cached]) -> None:
        folder = self._file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Latin-1 has a character for each byte.
        stored = json.dumps({key: (found.etag, found.body.decode("latin-1")) for key, found in cached.items()}).encode()
        descriptor, partial = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(stored) + b"\n" + stored)
            Path(partial).replace(self._file)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > _UNUSED_SECONDS:
                old.unlink(missing_ok=True)


def _digest(stored: bytes) -> bytes:
    return sha256(stored).hexdigest().encode()
