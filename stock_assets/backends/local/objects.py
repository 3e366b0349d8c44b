"""Objects as files below a folder.

Belongs here: files that are complete or absent, whatever happens. Does not belong here: what the files contain.
"""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from stock_assets.backends.interface import ObjectEntry, Objects
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.core.errors import ObjectExists

_PARTIAL = ".partial-"


class FolderObjects(Objects):
    """Immutable files; a process reads a complete file or none, also after a writer was killed."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    def put(self, key: str, body: bytes) -> None:
        """Write a file beside the target, then link it: a link, unlike a rename, never replaces a file."""
        target = self._path(key)
        self._folder.prepare()
        make_folder(target.parent)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_PARTIAL) as partial:
            partial.write(body)
            partial.flush()
            os.fsync(partial.fileno())
            try:
                os.link(partial.name, target)
            except FileExistsError as error:
                raise ObjectExists(f"{key} is already stored; stored objects are never replaced") from error
        # The folder's entry of the link must be on disk before the ledger refers to the file.
        sync(target.parent)

    def get(self, key: str) -> bytes:
        """Read the file."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(key) from error

    def keys(self, prefix: str) -> list[str]:
        """Walk the folder."""
        folder = self._path(prefix)
        return sorted(
            path.relative_to(self._folder.root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(_PARTIAL)
        )

    def entries(self, prefix: str) -> Sequence[ObjectEntry]:
        """Walk the folder; of a copy that keeps its original's modification time, the time of copying counts."""
        entries = []
        for key in self.keys(prefix):
            stat = self._path(key).stat()
            modified_at = datetime.fromtimestamp(max(stat.st_mtime, stat.st_ctime), UTC)
            entries.append(ObjectEntry(key, stat.st_size, modified_at))
        return entries

    def delete(self, key: str) -> None:
        """Unlink the file."""
        self._path(key).unlink(missing_ok=True)

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
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        path = self._folder.root / key
        if ".." in path.parts:
            raise ValueError(f"not an object key: {key!r}")
        return path
