"""Write files that survive a power failure: contents and names are on disk before anything refers to them.

Belongs here: fsync of files and folders, and the FileIO with which pyiceberg writes. Does not belong here: the contents
of files, and SQLite's files, which SQLite itself syncs.
"""

import io
import os
from itertools import takewhile
from pathlib import Path

from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO


def sync(path: Path) -> None:
    """Write a file's contents, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, and write the entry of each to disk."""
    missing = list(takewhile(lambda path: not path.exists(), (folder, *folder.parents)))
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync(path.parent)


class DurableFileIO(PyArrowFileIO):
    """Read and write local files as pyiceberg's own FileIO does, and sync every file when it is closed.

    The catalog property `py-io-impl` names this class. All files of a table are written through it: Parquet files,
    manifests, manifest lists and metadata of a publish, a new table, a new column, a rollback or maintenance.
    """

    def new_output(self, location: str) -> PyArrowFile:
        """Return the file to write at a location."""
        scheme, netloc, path = self.parse_location(location, self.properties)
        return _DurableFile(location, path, self.fs_by_scheme(scheme, netloc))


class _DurableFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> OutputStream:  # noqa: FBT001, FBT002 (pyiceberg's signature)
        """Open the file for writing; create its folder if that is missing."""
        path = Path(self._path)
        make_folder(path.parent)
        return _DurableStream(path, "wb" if overwrite else "xb", self._buffer_size)


class _DurableStream(io.BufferedWriter):
    """Sync the file, and its entry in the folder, when it is closed."""

    def __init__(self, path: Path, mode: str, buffer_size: int) -> None:
        super().__init__(io.FileIO(path, mode), buffer_size)
        self._folder = path.parent

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
            os.fsync(self.fileno())
        finally:
            super().close()
        sync(self._folder)
