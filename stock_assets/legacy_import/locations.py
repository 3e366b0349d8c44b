"""Locations of an earlier pipeline's files.

Belongs here: the interface, and a local folder. Does not belong here: S3 and Glue (`aws_locations`), names and content
of the files (`ingest.price_files`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from stock_assets.core.errors import LegacyDataUnusable
from stock_assets.core.file_tree import FoundFile, found_files
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.price_files.paths import folder_hour, name_problem, path_values
from stock_assets.ingest.response_keys import clock_time, request_time


@dataclass(frozen=True)
class LegacyFile:
    """One file.

    Attributes:
        name: its complete address, for people and for opening it.
        size: bytes.
        written_at: when the earlier pipeline wrote it, aware, UTC.
        values: columns in its name and the names of its folders, such as `symbol=IBM`.
        problem: why it must not be opened; empty for a file that may be read.
    """

    name: str
    size: int
    written_at: datetime
    values: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


class LegacyLocation(ABC):
    """Files of an earlier pipeline; they are read and never changed."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the location for people."""

    @property
    @abstractmethod
    def file_format(self) -> FileFormat:
        """Return the format of text files."""

    @abstractmethod
    def files(self) -> Sequence[LegacyFile]:
        """Return the files, ordered by name.

        Raises:
            LegacyDataUnusable: the location does not exist or is empty.
        """

    @abstractmethod
    def open_file(self, file: LegacyFile) -> BinaryIO:
        """Open a file for random access; several threads call this method at the same time."""


class LegacyFolder(LegacyLocation):
    """A local folder, or a single file."""

    def __init__(self, path: Path, file_format: FileFormat) -> None:
        self._path = path
        self._file_format = file_format

    @property
    def label(self) -> str:
        """Return the path as the user wrote it."""
        return str(self._path)

    @property
    def file_format(self) -> FileFormat:
        """Return the format that the user stated, or the default."""
        return self._file_format

    def files(self) -> Sequence[LegacyFile]:
        """Walk the folder; the modification time of a file counts as the time when it was written."""
        if not self._path.exists():
            raise LegacyDataUnusable(
                f"{self._path} does not exist; name the file or folder that contains the data to import"
            )
        if self._path.is_file():
            stat, root = self._path.stat(), self._path.parent
            files = [FoundFile(str(self._path), stat.st_size, stat.st_mtime)]
        else:
            root = self._path
            files = sorted(found_files(str(self._path)), key=lambda file: file.path.split("/"))
        found = []
        for file in files:
            relative = Path(file.path).relative_to(root).as_posix()
            if is_data(relative):
                modified_at = datetime.fromtimestamp(file.modified_at, UTC)
                found.append(legacy_file(file.path, relative, file.size, modified_at, problem=file.problem))
        return non_empty(found, self.label)

    def open_file(self, file: LegacyFile) -> BinaryIO:
        """Open the file."""
        return Path(file.name).open("rb")


def legacy_file(
    name: str, relative: str, size: int, modified_at: datetime, *, folders: str = "", problem: str = ""
) -> LegacyFile:
    """Return a file with the information of its path; a time in a folder name is earlier than the time of a copy.

    Args:
        name: complete address.
        relative: path below the location.
        size: bytes.
        modified_at: when it was stored, aware, UTC.
        folders: columns that a catalog states, as `year=2024/month=01/`.
        problem: why it must not be opened.
    """
    relative = folders + relative
    times = (modified_at, folder_hour(relative), request_time(relative), clock_time(relative))
    written_at = min(time for time in times if time is not None)
    return LegacyFile(name, size, written_at, path_values(relative), problem or name_problem(relative))


def is_data(relative: str) -> bool:
    """Return whether a file contains data, by the naming rules of Hive and Athena for hidden files."""
    return not any(part.startswith(("_", ".")) for part in relative.split("/"))


def non_empty(files: Sequence[LegacyFile], label: str) -> list[LegacyFile]:
    """Return the files that are not empty, and those that must not be opened.

    Raises:
        LegacyDataUnusable: all files are empty, or there is no file.
    """
    found = [file for file in files if file.size or file.problem]
    if not found:
        raise LegacyDataUnusable(
            f"{label} contains no file with data; name the folder that contains the data to import"
        )
    return found
