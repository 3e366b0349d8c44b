"""Locations of an earlier pipeline's files, and the information in their paths.

Belongs here: the interface, a local folder, and reading the names of folders. Does not belong here: S3 and Glue
(`aws_locations`), the content of a file (`file_reader`).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from stock_assets.core.errors import LegacyDataUnusable

_HOUR = re.compile(r"(?:^|/)([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})/[^/]*$")
_SYMBOL_FILE = re.compile(r"([A-Z][A-Z0-9.-]*)\.csv")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_TO_END_OF_HOUR = timedelta(hours=1) - timedelta(microseconds=1)
DEFAULT_COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class LegacyFile:
    """One file.

    Attributes:
        name: its complete address, for people and for opening it.
        size: bytes.
        written_at: when the earlier pipeline wrote it, aware, UTC.
        values: columns in the names of its folders, such as `symbol=IBM`.
    """

    name: str
    size: int
    written_at: datetime
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FileFormat:
    """The format of the text files of a location, where the files do not define it themselves.

    Attributes:
        columns: names of the fields of a CSV file without a header line.
        delimiter: character between fields.
        named: whether the user or the catalog named the columns; then a header line with other names is skipped.
    """

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    delimiter: str = ","
    named: bool = False


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
        paths = [self._path] if self._path.is_file() else sorted(self._path.rglob("*"))
        root = self._path.parent if self._path.is_file() else self._path
        found = []
        for path in paths:
            relative = path.relative_to(root).as_posix()
            if path.is_file() and is_data(relative):
                stat = path.stat()
                modified_at = datetime.fromtimestamp(stat.st_mtime, UTC)
                found.append(legacy_file(str(path), relative, stat.st_size, modified_at))
        return non_empty(found, self.label)

    def open_file(self, file: LegacyFile) -> BinaryIO:
        """Open the file."""
        return Path(file.name).open("rb")


def legacy_file(name: str, relative: str, size: int, modified_at: datetime) -> LegacyFile:
    """Return a file with the information of its path; the hour in a folder name is earlier than the time of a copy."""
    hour = folder_hour(relative)
    values = {**file_name_values(relative), **folder_values(relative)}
    return LegacyFile(name, size, min(modified_at, hour) if hour else modified_at, values)


def is_data(relative: str) -> bool:
    """Return whether a file contains data, by the naming rules of Hive and Athena for hidden files."""
    return not any(part.startswith(("_", ".")) for part in relative.split("/"))


def non_empty(files: Sequence[LegacyFile], label: str) -> list[LegacyFile]:
    """Return the files that are not empty.

    Raises:
        LegacyDataUnusable: all files are empty, or there is no file.
    """
    found = [file for file in files if file.size]
    if not found:
        raise LegacyDataUnusable(
            f"{label} contains no file with data; name the folder that contains the data to import"
        )
    return found


def folder_values(relative: str) -> dict[str, str]:
    """Read the columns in folder names: symbol and year in `symbol=IBM/year=2012/part-0`."""
    pairs = [part.partition("=") for part in relative.split("/")[:-1] if "=" in part]
    return {name.lower(): unquote(value) for name, _, value in pairs if value != _NULL_PARTITION}


def file_name_values(relative: str) -> dict[str, str]:
    """Return the symbol in a file name: raw responses are stored as `<SYMBOL>.csv`, without a symbol column."""
    match = _SYMBOL_FILE.fullmatch(relative.rpartition("/")[2])
    return {"symbol": match[1]} if match else {}


def folder_hour(relative: str) -> datetime | None:
    """Return the end of the hour in a folder name of Firehose, `2012/03/01/21/` in UTC; None without such a folder.

    The exchange closes on the hour, so the end of the hour is after the market close exactly if the whole hour is.
    """
    match = _HOUR.search(relative)
    if match is None:
        return None
    try:
        year, month, day, hour = map(int, match.groups())
        return datetime(year, month, day, hour, tzinfo=UTC) + _TO_END_OF_HOUR
    except ValueError:
        return None
