"""The typed error of a full disk, whichever library could not write.

Belongs here: recognising the errors of Python, SQLite, DuckDB and Arrow, and the text. Does not belong here: errors of
permissions, which name their file.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stock_assets.core.errors import DiskFull

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_TEXT = "No space left on device"
"""DuckDB and Arrow have the operating system's text in their errors, and no number."""


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, means that no space is left."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, sqlite3.Error) and getattr(current, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return True
        if (isinstance(current, OSError) and current.errno in _NUMBERS) or _TEXT in str(current):
            return True
        current = current.__cause__ or current.__context__
    return False


def describe(root: Path) -> str:
    """Return what happened, the consequence, and what to do."""
    return (
        f"No space is left on the disk of {root}. Published rows and stored responses are not affected. Free space, "
        "then run the same command again."
    )


@contextmanager
def typed_full_disk(root: Path) -> Iterator[None]:
    """Raise `DiskFull` instead of another error if no space is left."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise DiskFull(describe(root)) from error
        raise
