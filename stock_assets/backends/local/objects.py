"""Objects as files below a folder.

Belongs here: files that are complete or absent, whatever happens. Does not belong here: what the files contain, packs
(`packs`).
"""

import os
from collections.abc import Iterable, Sequence
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
from stock_assets.core.file_tree import found_files, walk

_PARTIAL = ".partial-"


class FolderObjects(Objects):
    """Immutable files; a process reads a complete file or none, also after a writer was killed."""

    has_packs = True

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
            # A load reads thousands of files: Path is slow, and a buffer costs two more system calls.
            with open(self.uri(key), "rb", buffering=0) as file:  # noqa: PTH123 (see above)
                return file.read()
        except FileNotFoundError:
            return self._packs.read(key)

    def keys(self, prefix: str) -> list[str]:
        """Walk the folder and the packs."""
        start = len(f"{self._folder.root}/")
        files = {file.path[start:] for file in walk(str(self._path(prefix))) if file.is_file()}
        return sorted({key for key in files if self._is_object(key)} | self._packs.keys(prefix))

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """Walk the folder; of a copy that keeps its original's modification time, the time of copying counts.

        With `since`, folders `ingest_date=...` to which nothing was added for a day are left out.
        """
        added_since = (since - STILL_WRITTEN).timestamp() if since else 0.0

        def enter(folder: "os.DirEntry[str]") -> bool:
            if not folder.name.startswith(INGEST_DATE):
                return True
            try:
                return written_at(folder.stat()) >= added_since
            except OSError:
                # Listing it shows why.
                return True

        start = len(f"{self._folder.root}/")
        return sorted(
            (
                ObjectEntry(
                    file.path[start:],
                    file.size,
                    datetime.fromtimestamp(max(file.modified_at, file.changed_at), UTC),
                    file.problem,
                )
                for file in found_files(str(self._path(prefix)), enter=enter)
                if self._is_object(file.path[start:])
            ),
            key=lambda entry: entry.key,
        )

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

    @staticmethod
    def _is_object(key: str) -> bool:
        """Return whether a path is that of a complete single object."""
        return not key.startswith(f"{PACKS_FOLDER}/") and not key.rpartition("/")[2].startswith(_PARTIAL)

    def _path(self, key: str) -> Path:
        return Path(self.uri(key))


def _exists(key: str) -> ObjectExists:
    return ObjectExists(f"{key} is already stored; stored objects are never replaced")


def written_at(stat: os.stat_result) -> float:
    """Return when a file or folder was written here; of a copy that keeps its original's time, the time of copying."""
    return max(stat.st_mtime, stat.st_ctime)
