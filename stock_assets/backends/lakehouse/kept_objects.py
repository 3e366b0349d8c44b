"""Small objects that processes of this machine have read, in a file of the user's cache.

Belongs here: the file, and which of its objects are still as in the bucket. Does not belong here: reading objects
(`objects`), what they mean (`ingest.ledger_queries`).

Reading thousands of small objects takes long, and a listing has the ETags of a thousand objects. So a process lists
them and takes those from the file whose ETag is the same; one that was removed or replaced is read, and its damage is
found. Others are read in several threads. The file only saves time: it is written completely or not at all, so
processes may share it, and the last writer wins. A damaged file is as good as none, and where the folder cannot be
written, none is kept.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from stock_assets.backends.lakehouse.objects import S3Objects

_THREADS = 16
_FEW = 12
"""Objects that are read without a listing, which costs as much."""
_VERSION = 1
_KEPT_SECONDS = 90 * 24 * 3600
"""Files that no process has written for this time are deleted."""


class _Kept(NamedTuple):
    etag: str
    body: bytes


class KeptObjects:
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
        """Return the bodies of these objects; those that do not exist are left out."""
        wanted, kept = set(keys), self._read_file()
        if len(wanted & kept.keys()) > _FEW:
            listed = dict(self._objects.etags(self._prefix))
            kept = {key: found for key, found in kept.items() if listed.get(key) == found.etag}
        else:
            kept = {key: found for key, found in kept.items() if key not in wanted}
        read = self._get(wanted - kept.keys())
        kept |= read
        if read:
            with contextlib.suppress(OSError):
                self._write_file(kept)
        return {key: kept[key].body for key in wanted & kept.keys()}

    def _get(self, keys: Iterable[str]) -> dict[str, _Kept]:
        def get(key: str) -> _Kept | None:
            try:
                body, etag = self._objects.get_version(key)
            except KeyError:
                return None
            return _Kept(etag, body)

        ordered = sorted(keys)
        with ThreadPoolExecutor(_THREADS) as threads:
            return {key: found for key, found in zip(ordered, threads.map(get, ordered), strict=True) if found}

    def _read_file(self) -> dict[str, _Kept]:
        try:
            digest, _, stored = self._file.read_bytes().partition(b"\n")
        except OSError:
            return {}
        if digest != _digest(stored):
            return {}
        return {key: _Kept(etag, body.encode("latin-1")) for key, (etag, body) in json.loads(stored).items()}

    def _write_file(self, kept: Mapping[str, _Kept]) -> None:
        folder = self._file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Latin-1 has a character for each byte.
        stored = json.dumps({key: (found.etag, found.body.decode("latin-1")) for key, found in kept.items()}).encode()
        descriptor, partial = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_digest(stored) + b"\n" + stored)
            Path(partial).replace(self._file)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink(missing_ok=True)


def _digest(stored: bytes) -> bytes:
    return sha256(stored).hexdigest().encode()
