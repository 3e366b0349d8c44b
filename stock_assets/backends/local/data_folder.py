"""The folder of the local backend, and the layout version that it records.

Belongs here: recognising data folders of other releases, and marking a new one. Does not belong here: the files in the
folder (the modules beside this one).
"""

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from stock_assets.backends.layout import (
    EARLIER_VERSIONS,
    LAYOUT_KEY,
    check_layout,
    layout_body,
    older_layout,
    stated_version,
)
from stock_assets.backends.local.durable import make_folder, sync

_DATABASES = ("ledger.db", "catalog.db")
"""Files that every release writes before any other data; without a layout file they prove an older layout.

Files below `raw/` prove nothing: others may deliver landing files before the pipeline has ever run.
"""
_NEW_FOLDER = "set STOCK_ASSETS_DATA_DIR to a new folder"
_MIGRATE = "run: stock-assets migrate"


def earlier_version(root: Path) -> int | None:
    """Return the version of a folder of an earlier layout; None if it has the current layout, or is new.

    Raises:
        UnsupportedLayout: a newer release wrote the folder, or its layout file is damaged.
    """
    layout = root / LAYOUT_KEY
    if not layout.exists():
        return 1 if any((root / name).exists() for name in _DATABASES) else None
    body = layout.read_bytes()
    if stated_version(body) in EARLIER_VERSIONS:
        return stated_version(body)
    check_layout(body, str(root), new_folder=_NEW_FOLDER, migrate=_MIGRATE)
    return None


class DataFolder:
    """A folder that is checked before the first access and marked before the first write, once per object."""

    def __init__(self, root: Path) -> None:
        self._path = root.absolute()

    @property
    def root(self) -> Path:
        """Return the absolute path of the folder, whose layout is supported.

        Raises:
            UnsupportedLayout: another release wrote the folder.
        """
        return self._checked

    def prepare(self) -> Path:
        """Create the folder with its layout file where they are missing; return the path of the folder.

        Raises:
            UnsupportedLayout: another release wrote the folder.
        """
        return self._prepared

    @cached_property
    def _checked(self) -> Path:
        # In this order: another process that creates the folder now writes the layout file before any database.
        used = [name for name in _DATABASES if (self._path / name).exists()]
        try:
            body = (self._path / LAYOUT_KEY).read_bytes()
        except FileNotFoundError:
            if used:
                raise older_layout(str(self._path), _MIGRATE) from None
        else:
            check_layout(body, str(self._path), new_folder=_NEW_FOLDER, migrate=_MIGRATE)
        return self._path

    @cached_property
    def _prepared(self) -> Path:
        root = self._checked
        layout = root / LAYOUT_KEY
        if not layout.exists():
            make_folder(root)
            # Not a temporary file of `tempfile`: other users who may read the folder must be able to read this file.
            partial = root / f".partial-{uuid4().hex}"
            partial.write_bytes(layout_body())
            sync(partial)
            # Another process may have created the file meanwhile.
            with suppress(FileExistsError):
                os.link(partial, layout)
            partial.unlink()
            sync(root)
            check_layout(layout.read_bytes(), str(root), new_folder=_NEW_FOLDER, migrate=_MIGRATE)
        return root
