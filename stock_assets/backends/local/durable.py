"""Write files that survive a power failure: contents and names are on disk before anything refers to them.

Belongs here: fsync of files and folders. Does not belong here: the contents of files, SQLite's files, which SQLite
itself syncs, and the files that pyiceberg writes (`durable_file_io`).
"""

import os
from itertools import takewhile
from pathlib import Path


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
