"""SHA-256 checksums of bodies and files.

Belongs here: computing them. Does not belong here: comparing a stored response with the ledger
(`backends.stored_responses`).
"""

import hashlib
from pathlib import Path


def content_hash(body: bytes) -> str:
    """Return the SHA-256 of a body, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def file_hash(file: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal; the file is read in parts."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
