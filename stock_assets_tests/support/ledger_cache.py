"""A cache folder for tests of objects in S3: mirrors of their own, and everything else of the user's cache."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import pytest

from stock_assets.core.text_cache import cache_folder

_TEXTS = ("duckdb", "lineage")
_MIRRORS = ("ledger", "objects")


@contextmanager
def own_ledger_cache() -> Iterator[None]:
    """Let this process and those that it starts keep mirrors in a temporary folder."""
    users, mirrors = Path(platformdirs.user_cache_dir()), [cache_folder(kind) for kind in _MIRRORS]
    for kind in _TEXTS:
        cache_folder(kind).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cache-") as folder, pytest.MonkeyPatch.context() as patch:
        ours = mirrors[0].parent
        _link(users, Path(folder), [ours])
        _link(ours, Path(folder) / ours.name, mirrors)
        patch.setenv("XDG_CACHE_HOME", folder)
        yield


def _link(folder: Path, links: Path, without: Sequence[Path]) -> None:
    """Link everything in a folder but some entries."""
    links.mkdir(exist_ok=True)
    for entry in folder.iterdir():
        if entry not in without:
            (links / entry.name).symlink_to(entry)
