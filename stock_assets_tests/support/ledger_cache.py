"""A cache folder for tests of ledgers in S3: mirrors of their own, and everything else of the user's cache."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

from stock_assets.core.text_cache import cache_folder

_TEXTS = ("duckdb", "lineage")


@contextmanager
def own_ledger_cache() -> Iterator[None]:
    """Let this process and those that it starts keep mirrors in a temporary folder."""
    users, mirrors = Path(platformdirs.user_cache_dir()), cache_folder("ledger")
    for kind in _TEXTS:
        cache_folder(kind).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cache-") as folder, pytest.MonkeyPatch.context() as patch:
        _link(users, Path(folder), mirrors.parent)
        _link(mirrors.parent, Path(folder) / mirrors.parent.name, mirrors)
        patch.setenv("XDG_CACHE_HOME", folder)
        yield


def _link(folder: Path, links: Path, without: Path) -> None:
    """Link everything in a folder but one entry."""
    links.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry != without:
            (links / entry.name).symlink_to(entry)
