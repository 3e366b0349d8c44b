"""Where the files of an earlier pipeline lie, and what their addresses say.

Belongs here: the interface, a folder of this machine, and reading names of folders. Does not belong here: S3 and Glue
(`backends.aws.old_tables`), what is in a file (`rows`).
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
_LAST_MOMENT = timedelta(hours=1) - timedelta(microseconds=1)
DEFAULT_COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class LegacyFile:
    """One file.

    Attributes:
        name: its whole address, for people and for opening it.
        size: bytes.
        written_at: when the earlier pipeline wrote it, aware, UTC.
        values: columns that its folders name, such as `symbol=IBM`.
    """

    name: str
    size: int
    written_at: datetime
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Form:
    """How the text files of a place are written, where they do not say so themselves.

    Attributes:
        columns: names of the fields of a CSV file without a header line.
        delimiter: between fields.
        named: somebody said what the columns are; a header line that says something else is passed over then.
    """

    columns: tuple[str, ...] = DEFAULT_COLUMNS
    delimiter: str = ","
    named: bool = False


class LegacyLocation(ABC):
    """Files of an earlier pipeline; they are read, never changed."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Say where they lie, for people."""

    @property
    @abstractmethod
    def form(self) -> Form:
        """Say how text files are written."""

    @abstractmethod
    def files(self) -> Sequence[LegacyFile]:
        """List them, in the order of their names.

        Raises:
            LegacyDataUnusable: there is no such place, or nothing in it.
        """

    @abstractmethod
    def open(self, file: LegacyFile) -> BinaryIO:
        """Open one for reading in any order; several threads do at once."""


class LegacyFolder(LegacyLocation):
    """A folder of this machine, or a single file."""

    def __init__(self, path: Path, form: Form) -> None:
        self._path = path
        self._form = form

    @property
    def label(self) -> str:
        """Give the path as it was named."""
        return str(self._path)

    @property
    def form(self) -> Form:
        """Give what was said."""
        return self._form

    def files(self) -> Sequence[LegacyFile]:
        """Walk the folder; a file's time of change is when it was written, also where it was copied with its time."""
        if not self._path.exists():
            raise LegacyDataUnusable(f"{self._path}: there is no such file or folder; name the old data's")
        paths = [self._path] if self._path.is_file() else sorted(self._path.rglob("*"))
        root = self._path.parent if self._path.is_file() else self._path
        found = []
        for path in paths:
            relative = path.relative_to(root).as_posix()
            if path.is_file() and is_data(relative):
                stat = path.stat()
                changed = datetime.fromtimestamp(stat.st_mtime, UTC)
                found.append(legacy_file(str(path), relative, stat.st_size, changed))
        return some_of(found, self.label)

    def open(self, file: LegacyFile) -> BinaryIO:
        """Open it where it lies."""
        return Path(file.name).open("rb")


def legacy_file(name: str, relative: str, size: int, changed: datetime) -> LegacyFile:
    """Describe a file by its path inside the place; a folder of the hour tells better than a copy when it is from."""
    hour = folder_hour(relative)
    values = {**file_name_values(relative), **folder_values(relative)}
    return LegacyFile(name, size, min(changed, hour) if hour else changed, values)


def is_data(relative: str) -> bool:
    """Tell files from marks and leftovers, as Hive and Athena do by their names."""
    return not any(part.startswith(("_", ".")) for part in relative.split("/"))


def some_of(files: Sequence[LegacyFile], label: str) -> list[LegacyFile]:
    """Give the files that hold anything.

    Raises:
        LegacyDataUnusable: there are none.
    """
    found = [file for file in files if file.size]
    if not found:
        raise LegacyDataUnusable(f"{label}: no file with anything in it; name the folder that holds the old data")
    return found


def folder_values(relative: str) -> dict[str, str]:
    """Read the columns that folders name: `symbol=IBM/year=2012/part-0` says symbol and year."""
    pairs = [part.partition("=") for part in relative.split("/")[:-1] if "=" in part]
    return {name.lower(): unquote(value) for name, _, value in pairs if value != _NULL_PARTITION}


def file_name_values(relative: str) -> dict[str, str]:
    """Return the symbol that a file name states: raw responses are stored as `<SYMBOL>.csv`, without a symbol column."""
    match = _SYMBOL_FILE.fullmatch(relative.rpartition("/")[2])
    return {"symbol": match[1]} if match else {}


def folder_hour(relative: str) -> datetime | None:
    """Give the last moment of the hour that Firehose names a folder by: `2012/03/01/21/`, in UTC; None without one.

    The exchange closes on the hour, so the end of the hour is after the bell exactly if all of the hour is.
    """
    match = _HOUR.search(relative)
    if match is None:
        return None
    try:
        year, month, day, hour = map(int, match.groups())
        return datetime(year, month, day, hour, tzinfo=UTC) + _LAST_MOMENT
    except ValueError:
        return None
