"""Objects as files below a folder."""

import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from stock_assets.backends.interface import ObjectEntry, Objects
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.core.errors import ObjectExists

_PARTIAL = ".partial-"


class FolderObjects(Objects):
    """Immutable files; a reader sees a whole file or none, also after a kill."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, key: str, body: bytes) -> None:
        """Write beside the target, then link: a link, unlike a rename, refuses to replace."""
        target = self._path(key)
        make_folder(target.parent)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_PARTIAL) as partial:
            partial.write(body)
            partial.flush()
            os.fsync(partial.fileno())
            try:
                os.link(partial.name, target)
            except FileExistsError as error:
                raise ObjectExists(f"{key} is already stored; stored answers are never replaced") from error
        # The entry of the link, before the ledger refers to the file.
        sync(target.parent)

    def get(self, key: str) -> bytes:
        """Read the file."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(key) from error

    def list(self, prefix: str) -> list[str]:
        """Walk the folder."""
        folder = self._path(prefix)
        return sorted(
            path.relative_to(self._root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(_PARTIAL)
        )

    def entries(self, prefix: str) -> Sequence[ObjectEntry]:
        """Walk the folder; a copy that keeps the time of its original still shows when it came."""
        found = []
        for key in self.list(prefix):
            stat = self._path(key).stat()
            moment = datetime.fromtimestamp(max(stat.st_mtime, stat.st_ctime), UTC)
            found.append(ObjectEntry(key, stat.st_size, moment))
        return found

    def delete(self, key: str) -> None:
        """Unlink the file."""
        self._path(key).unlink(missing_ok=True)

    def sweep(self, *, before: datetime) -> int:
        """Unlink partial files, in the folders of objects only."""
        found = [
            path
            for folder in ("raw", "staged", "alerts")
            for path in (self._root / folder).rglob(f"{_PARTIAL}*")
            if path.is_file() and path.stat().st_mtime < before.timestamp()
        ]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def uri(self, key: str) -> str:
        """Give the absolute path."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts:
            raise ValueError(f"not an object key: {key!r}")
        return path
