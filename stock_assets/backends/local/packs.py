"""Packs: stored responses of one month in one zip file, each under its key, so that years do not become many files.

Belongs here: finding, writing and merging packs. Does not belong here: single files (`objects`), which responses are
packed (`ingest.response_packs`).

`raw/packs/daily_prices/2026-10/<id>.zip` has the responses of October 2026. A pack never changes. It is completely on
disk before a single file or an earlier pack is removed, and a reader looks for the single file first: whenever the
process is killed, every response is found, with the same bytes.
"""

import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from uuid import uuid4
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from stock_assets.backends.local.durable import make_folder, sync

FOLDER = "raw/packs"
MERGED_BELOW = 64 << 20
"""Size of a pack in bytes up to which the month's next pack replaces it; larger packs are not written again."""
_KEY = re.compile(r"raw/(?P<kind>[^/]+)/ingest_date=(?P<month>\d{4}-\d\d)-\d\d/.+")
_DAMAGE = (BadZipFile, zlib.error, EOFError)
_ATTEMPTS = 5

_Result = TypeVar("_Result")


class Packs:
    """The packs below a data folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes:
        """Return the bytes of a packed object.

        Raises:
            KeyError: no pack has the key.
            OSError: a pack that has the key, or may have it, is damaged; the message names it.
        """
        folder = self._folder(key)
        if folder is None:
            raise KeyError(key)
        return _unless_merged(lambda: _read(folder, key))

    def keys(self, prefix: str) -> set[str]:
        """Return the keys below a prefix.

        Raises:
            OSError: a pack is damaged; the message names it.
        """

        def names() -> set[str]:
            packs = (self._root / FOLDER).rglob("*.zip")
            return {key for pack in packs for key in open_pack(pack).namelist() if key.startswith(prefix)}

        return _unless_merged(names) if prefix.startswith("raw/") else set()

    def has(self, key: str) -> bool:
        """Return whether an intact pack has a key."""
        try:
            self.read(key)
        except (KeyError, OSError):
            return False
        return True

    def add(self, keys: Iterable[str]) -> int:
        """Move single files into packs; return the number of moved files. Keys of another form stay single files."""
        groups: dict[Path, list[str]] = {}
        for key in sorted(keys):
            folder = self._folder(key)
            if folder is not None and (self._root / key).is_file():
                groups.setdefault(folder, []).append(key)
        return sum(self._add_to_month(folder, keys) for folder, keys in groups.items())

    def _add_to_month(self, folder: Path, keys: Sequence[str]) -> int:
        make_folder(folder)
        new = [key for key in keys if not self.has(key)]
        merged = [pack for pack in folder.glob("*.zip") if pack.stat().st_size < MERGED_BELOW and _is_intact(pack)]
        if new:
            self._write(folder, new, merged)
            for pack in merged:
                pack.unlink(missing_ok=True)
        # A file that differs from its packed bytes was restored after it had been packed; it stays, and is read first.
        packed = [key for key in keys if self._is_packed(key)]
        for key in packed:
            (self._root / key).unlink(missing_ok=True)
            for parent in (self._root / key).parents[:2]:
                with suppress(OSError):
                    parent.rmdir()
        return len(packed)

    def _write(self, folder: Path, keys: Sequence[str], merged: Sequence[Path]) -> None:
        """Write a pack, and let it appear under its name when it is completely on disk."""
        target = folder / f"{uuid4().hex}.zip"
        partial = folder / f".partial-{target.stem}"
        try:
            with partial.open("xb") as file:
                with ZipFile(file, "w", ZIP_DEFLATED) as archive:
                    for pack in merged:
                        _copy(pack, archive)
                    for key in keys:
                        archive.writestr(self._info(key), (self._root / key).read_bytes(), ZIP_DEFLATED)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
            sync(folder)
        finally:
            partial.unlink(missing_ok=True)

    def _info(self, key: str) -> ZipInfo:
        written = datetime.fromtimestamp((self._root / key).stat().st_mtime, UTC)
        info = ZipInfo(key, (written.year, written.month, written.day, written.hour, written.minute, written.second))
        info.external_attr = 0o644 << 16
        return info

    def _is_packed(self, key: str) -> bool:
        try:
            return self.read(key) == (self._root / key).read_bytes()
        except (KeyError, OSError):
            return False

    def _folder(self, key: str) -> Path | None:
        match = _KEY.fullmatch(key)
        return self._root / FOLDER / match["kind"] / match["month"] if match else None


def _unless_merged(read: Callable[[], _Result]) -> _Result:
    """Read packs; if another process has merged them since they were listed, list them again."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return read()
    return read()


def _read(folder: Path, key: str) -> bytes:
    damaged: OSError | None = None
    for pack in sorted(folder.glob("*.zip")):
        try:
            archive = open_pack(pack)
            if key in archive.NameToInfo:
                return archive.read(key)
        except FileNotFoundError:
            raise
        except OSError as error:
            damaged = error
        except _DAMAGE as error:
            damaged = OSError(f"the pack {pack} is damaged: {error}")
    raise damaged or KeyError(key)


def _copy(pack: Path, archive: ZipFile) -> None:
    with ZipFile(pack) as earlier:
        for info in earlier.infolist():
            if info.filename not in archive.NameToInfo:
                archive.writestr(info, earlier.read(info), ZIP_DEFLATED)


def _is_intact(pack: Path) -> bool:
    try:
        with ZipFile(pack) as archive:
            return archive.testzip() is None
    except (*_DAMAGE, OSError):
        return False


def damage_of_pack(pack: Path, *, deep: bool) -> str:
    """Return what is wrong with a pack: its list of keys, or with `deep` the bytes of a response; empty if nothing."""
    try:
        with ZipFile(pack) as archive:
            damaged = archive.testzip() if deep else None
    except FileNotFoundError:
        # Another process has merged it.
        return ""
    except (*_DAMAGE, OSError) as error:
        return f"it cannot be read: {error}"
    return f"the response {damaged} in it is damaged" if damaged else ""


def open_pack(pack: Path) -> ZipFile:
    """Open a pack once per process; packs never change.

    Raises:
        OSError: the file is missing or damaged.
    """
    try:
        return opened_pack(pack, os.getpid())
    except _DAMAGE as error:
        raise OSError(f"the pack {pack} is damaged: {error}") from error


@lru_cache(maxsize=256)
def opened_pack(pack: Path, process: int) -> ZipFile:  # noqa: ARG001 (a forked process must not share the file's position)
    """Return the open file of a pack, with the list of its keys."""
    return ZipFile(pack)
