"""Names of data files that begin with the SHA-256 of their content, so that a changed byte is found.

Belongs here: making such a name, and comparing a file with it. Does not belong here: which files a snapshot needs
(`backends.table_check`), other checks of a file (`damage`).

A name survives copies, relocation and rebuilding, and costs one read of a new file, which is in the page cache then.
Parquet has checksums of its own, but pyarrow writes none by default, and they would not cover the footer.
"""

from pathlib import Path
from uuid import uuid4

from stock_assets.core.checksums import file_hash

_DIGITS = 32


def digest_name(file: Path) -> str:
    """Return the name of a data file: 32 digits of its SHA-256, and a unique part, since equal files may be added."""
    return f"{file_hash(file)[:_DIGITS]}-{uuid4().hex}.parquet"


def digest_problem(file: Path) -> str:
    """Compare a data file with the digest in its name; return what is wrong, empty if the name has no digest.

    Earlier releases named files without a digest.
    """
    stated = file.name.partition("-")[0]
    if len(stated) != _DIGITS or file_hash(file).startswith(stated):
        return ""
    return "its content differs from the SHA-256 in its name"
