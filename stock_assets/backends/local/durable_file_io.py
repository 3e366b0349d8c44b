"""The FileIO with which pyiceberg writes tables: every file is on disk before the catalog refers to it.

Belongs here: opening and syncing the files that pyiceberg reads and writes when it commits. Does not belong here:
reading published tables (`table_reader`), whose commands would start slowly with pyarrow's file systems; fsync itself
(`durable`).
"""

import io
import os
from pathlib import Path

from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from stock_assets.backends.local.durable import make_folder, sync

_MANIFEST = ".avro"


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
    """Sync the file when it is closed, and its entry in the folder.

    The entries of manifests are synced with the metadata file of the same commit, which pyiceberg writes into the same
    folder after them.
    """

    def __init__(self, path: Path, mode: str, buffer_size: int) -> None:
        super().__init__(io.FileIO(path, mode), buffer_size)
        self._path = path

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
            os.fsync(self.fileno())
        finally:
            super().close()
        if self._path.suffix != _MANIFEST:
            sync(self._path.parent)
