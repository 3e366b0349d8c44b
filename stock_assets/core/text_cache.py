"""Keep computed texts in the user's cache folder, for later processes.

Belongs here: files of the cache. Does not belong here: what is computed (`queries`).

The cache only saves time. A file is written completely or not at all, so processes may share the folder. A folder that
cannot be written, or a damaged file, means that the text is computed again.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import platformdirs

MAX_FILES = 500
"""Older files are deleted. A data path has about 40 statements; the others are queries of users."""
_DIGEST_CHARACTERS = 64


def cached_text(kind: str, sources: Sequence[str], compute: Callable[[], str]) -> str:
    """Return a computed text, from the cache if it is there.

    Args:
        kind: folder of the cache.
        sources: everything that determines the text.
        compute: computes the text.
    """
    file = cache_folder(kind) / _digest("\0".join(sources))
    known = _read(file)
    if known is not None:
        return known
    text = compute()
    with contextlib.suppress(OSError):
        _write(file, text)
    return text


def cache_folder(kind: str) -> Path:
    """Return the folder of a kind of texts; it may not exist."""
    return Path(platformdirs.user_cache_dir("stock_assets", appauthor=False)) / kind


def _read(file: Path) -> str | None:
    try:
        stored = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    digest, text = stored[:_DIGEST_CHARACTERS], stored[_DIGEST_CHARACTERS:]
    # After a power failure a file may be empty or contain zeros.
    return text if digest == _digest(text) else None


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(_digest(text) + text, encoding="utf-8")
    partial.replace(file)
    files = sorted(file.parent.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in files[MAX_FILES:]:
        old.unlink(missing_ok=True)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
