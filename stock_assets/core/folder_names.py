"""Names of folders that a library misreads, and which therefore cannot be used.

Belongs here: why a path is unusable. Does not belong here: the settings that name a folder (`settings`).
"""

import re
from pathlib import Path

_NOT_IN_ICEBERG = "?#\n\r\t"
"""pyiceberg ends the path at the first two and removes the others: it would write into another folder."""
_NOT_IN_DAGSTER = re.compile(r"%[0-9A-Fa-f]{2}|\?")
"""Dagster writes the path of a database into an address without quoting it, and SQLAlchemy unquotes it."""


def why_not_for_tables(folder: Path) -> str:
    """Return why Iceberg tables cannot be in a folder, or an empty text."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    unusable = [character for character in _NOT_IN_ICEBERG if character in str(folder)]
    return f"Iceberg addresses cannot contain {' '.join(map(repr, unusable))}" if unusable else ""


def why_not_for_dagster(folder: Path) -> str:
    """Return why the databases of a Dagster instance cannot be in a folder, or an empty text."""
    misread = _NOT_IN_DAGSTER.search(str(folder))
    return f"Dagster's databases cannot be in a folder with {misread[0]!r} in its name" if misread else ""
