"""Objects as files below a folder.

Belongs here: files that are complete or absent, whatever happens. Does not belong here: what the files contain, packs
(`packs`).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from stock_assets.backends.interface import INGEST_DATE, STILL_WRITTEN, ObjectEntry, Objects
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.full_disk import typed_full_disk
from stock_assets.backends.local.packs import FOLDER as PACKS_FOLDER
from stock_assets.backends.local.packs import Packs
from stock_assets.core.errors import ObjectExists

_PARTIAL = ".partial-"


class FolderObjects(Objects):
    """Immutable files; a process reads a complete file or none, also after a writer was killed."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    @cached_property
    def _packs(self) -> Packs:
        return Packs(self._folder.root)

    def put(self, key: str, body: bytes) -> None:
        """Write a file beside the target, then link it: a link, unlike a rename, never replaces a file."""
        with typed_full_disk(self._folder.root):
            self._put(key, body)

    def _put(self, key: str, body: bytes) -> None:
        target = self._path(key)
        self._folder.prepare()
        if self._packs.has(key):
            raise _exists(key)
        make_folder(target.parent)
        # Not a temporary file of `tempfile`: other users who may read the folder must be able to read this file.
        partial = target.parent / f"{_PARTIAL}{uuid4().hex}"
        try:
            partial.write_bytes(body)
            sync(partial)
            os.link(partial, target)
        except FileExistsError as error:
            raise _exists(key) from error
        finally:
            partial.unlink(missing_ok=True)
        # The folder's entry of the link must be on disk before the ledger refers to the file.
        sync(target.parent)

    def get(self, key: str) -> bytes:
        """Read the file, or else the packed object."""
        try:
            with open(self.uri(key), "rb") as file:  # noqa: PTH123 (a load reads thousands of files; Path is slow)
                return file.read()
        except FileNotFoundError:
            return self._packs.read(key)

    def keys(self, prefix: str) -> list[str]:
        """Walk the folder and the packs."""
        return sorted(self._files(prefix).keys() | self._packs.keys(prefix))

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """Walk the folder; of a copy that keeps its original's modification time, the time of copying counts.

        With `since`, folders `ingest_date=...` to which nothing was added for a day are left out.
        """
        entries = []
        added_since = (since - STILL_WRITTEN).timestamp() if since else 0.0
        for key, file in sorted(self._files(prefix, added_since).items()):
            try:
                stat = file.stat()
            except FileNotFoundError:
                # Deleted or packed since the folder was listed.
                continue
            entries.append(ObjectEntry(key, stat.st_size, datetime.fromtimestamp(written_at(stat), UTC)))
        return entries

    def delete(self, key: str) -> None:
        """Unlink the file.

        Raises:
            ValueError: the object is packed; only responses are, and they are never deleted.
        """
        path = self._path(key)
        if not path.exists() and self._packs.has(key):
            raise ValueError(f"{key} is a packed response, which is never deleted")
        path.unlink(missing_ok=True)

    def pack(self, keys: Iterable[str]) -> int:
        """Move the files into one zip file per month and kind."""
        with typed_full_disk(self._folder.root):
            return self._packs.add(keys)

    def remove_partial_files(self, *, before: datetime) -> int:
        """Unlink partial files, in the folders of objects only."""
        partial_files = [
            path
            for folder in ("raw", "staged", "audits", "alerts", "reports")
            for path in (self._folder.root / folder).rglob(f"{_PARTIAL}*")
            if path.is_file() and path.stat().st_mtime < before.timestamp()
        ]
        for path in partial_files:
            path.unlink(missing_ok=True)
        return len(partial_files)

    def uri(self, key: str) -> str:
        """Return the absolute path."""
        if ".." in key.split("/"):
            raise ValueError(f"not an object key: {key!r}")
        return f"{self._folder.root}/{key}"

    def _files(self, prefix: str, added_since: float = 0.0) -> dict[str, "os.DirEntry[str]"]:
        """Return the single files below a prefix, by key."""
        start = len(f"{self._folder.root}/")
        keys = {file.path[start:]: file for file in _walk(str(self._path(prefix)), added_since)}
        return {key: file for key, file in keys.items() if not key.startswith(f"{PACKS_FOLDER}/")}

    def _path(self, key: str) -> Path:
        return Path(self.uri(key))


def _exists(key: str) -> ObjectExists:
    return ObjectExists(f"{key} is already stored; stored objects are never replaced")


def written_at(stat: os.stat_result) -> float:
    """Return when a file or folder was written here; of a copy that keeps its original's time, the time of copying."""
    return max(stat.st_mtime, stat.st_ctime)


def _walk(folder: str, added_since: float) -> Iterator["os.DirEntry[str]"]:
    """Yield the complete files below a folder; `Path.rglob` takes five times as long."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith(INGEST_DATE) or written_at(entry.stat()) >= added_since:
                yield from _walk(entry.path, added_since)
        elif entry.is_file() and not entry.name.startswith(_PARTIAL):
            yield entry
