"""Copy a data folder that is in use, and put a copy in place of a missing folder.

Belongs here: what is copied, in which order. Does not belong here: the addresses in a restored folder (`relocation`),
checking a copy (`damage`).

The order makes the copy consistent: first the catalog, which pins a snapshot of each table, and the files of these
snapshots; then the ledger, which knows the responses of every published row; last the responses, which are stored
before the ledger knows them. SQLite files are copied with SQLite's backup API, so that a transaction is copied
completely or not at all. Staging tables and the records of staged loads are left out: they can be staged again.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path

from stock_assets.backends.layout import LAYOUT_KEY
from stock_assets.backends.local.damage import open_metadata
from stock_assets.backends.local.database import CALLS_FILE, CATALOG_FILE, LEDGER_FILE
from stock_assets.backends.local.durable import make_folder, sync
from stock_assets.backends.local.packs import FOLDER as PACKS_FOLDER
from stock_assets.backends.local.relocation import Relocated, relocate
from stock_assets.backends.local.table_folder import path_of, require_metadata_inside
from stock_assets.backends.local.table_reader import metadata_location
from stock_assets.backends.snapshots import needed_files
from stock_assets.core.errors import DamagedFiles, SettingsError
from stock_assets.core.tables import PUBLISHED_TABLES

_RECORDS = ("staged/rejections", "staged/splits", "acknowledgements", "alerts", "reports", "alerts.log", LAYOUT_KEY)
_JOURNALS = ("-journal", "-wal", "-shm")
_ATTEMPTS = 5
_RESTORING = "restoring"
"""File in a folder that is complete and not relocated yet; it has the path of the backup."""


def back_up(root: Path, target: Path, instance: Path) -> None:
    """Copy a data folder, and the Dagster instance if it is inside, to a new folder.

    Args:
        root: the data folder; other processes may load and publish meanwhile.
        target: a folder that does not exist, or is empty. It appears when the copy is complete and on disk.
        instance: the folder of the Dagster instance.

    Raises:
        SettingsError: the target is not empty, or is inside the data folder.
        DamagedFiles: a file that a snapshot needs is missing.
    """
    target = target.absolute()
    _require_empty(target)
    if target.is_relative_to(root):
        raise SettingsError(f"{target} is inside the data folder {root}. Choose a folder outside it.")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    _copy_tables(root, partial)
    for name in (LEDGER_FILE, CALLS_FILE):
        _copy_database(root / name, partial / name)
    copy_tree(root, partial, "raw", skip=lambda path: path.is_relative_to(root / PACKS_FOLDER))
    # A response that was packed meanwhile is in a pack before its file is removed.
    _until_present(lambda: copy_tree(root, partial, PACKS_FOLDER, strict=True))
    for record in _RECORDS:
        copy_tree(root, partial, record)
    if instance.is_relative_to(root):
        copy_instance(root, partial, instance)
    _move(partial, target)


def restore(backup: Path, root: Path) -> list[Relocated]:
    """Copy a backup to a data folder that does not exist or is empty, and relocate its tables.

    Raises:
        SettingsError: the folder is not empty, or the backup is not one.
    """
    backup, root = backup.absolute(), root.absolute()
    if not (backup / LAYOUT_KEY).is_file():
        raise SettingsError(f"{backup} is no backup of a data folder: it has no {LAYOUT_KEY}. Name another folder.")
    marker = root / _RESTORING
    if not marker.exists() or marker.read_text(encoding="utf-8") != str(backup):
        _require_empty(root)
        partial = root.with_name(f"{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        copy_tree(backup, partial, ".")
        # So that this function, run again after a kill, completes its own work and no other folder.
        (partial / _RESTORING).write_text(str(backup), encoding="utf-8")
        sync(partial / _RESTORING)
        sync(partial)
        _move(partial, root)
    done = relocate(root)
    marker.unlink()
    sync(root)
    return done


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} exists and is not empty, so nothing was copied. Choose another folder.")


def _copy_tables(root: Path, partial: Path) -> None:
    """Copy the catalog, and every file that its tables need; again if maintenance has removed one meanwhile."""

    def copy() -> None:
        _copy_database(root / CATALOG_FILE, partial / CATALOG_FILE)
        for table in PUBLISHED_TABLES:
            location = metadata_location(partial, table)
            if location is None:
                continue
            require_metadata_inside(root, table.full_name, location)
            stored, why = open_metadata(Path(path_of(location)), table)
            if stored is None:
                raise FileNotFoundError(f"{path_of(location)}: {why}")
            for address in needed_files(stored) - {entry.metadata_file for entry in stored.metadata.metadata_log}:
                _copy(root, partial, Path(path_of(address)))

    _until_present(copy)


def _until_present(copy: Callable[[], None]) -> None:
    """Repeat a copy as long as files vanish, because maintenance replaces them."""
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            copy()
            return
    try:
        copy()
    except FileNotFoundError as error:
        raise DamagedFiles(
            [f"{error.filename or error}: it is missing, so no backup was made. To see what to do: stock-assets verify"]
        ) from error


def _copy_database(file: Path, target: Path) -> None:
    if not file.exists():
        return
    make_folder(target.parent)
    target.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
    sync(target)


def copy_instance(root: Path, partial: Path, instance: Path) -> None:
    """Copy the Dagster instance: its databases with the backup API, and its other files."""
    databases = set(instance.rglob("*.db"))
    for file in databases:
        _copy_database(file, partial / file.relative_to(root))
    side_files = {Path(f"{file}{suffix}") for file in databases for suffix in _JOURNALS}
    copy_tree(root, partial, str(instance.relative_to(root)), skip=lambda path: path in databases | side_files)


def copy_tree(
    root: Path, partial: Path, name: str, *, skip: Callable[[Path], bool] = lambda _: False, strict: bool = False
) -> None:
    """Copy the files below a path; files that vanish meanwhile are left out, unless `strict` is set."""
    folder = root / name
    files: Iterable[Path] = [folder] if folder.is_file() else folder.rglob("*")
    for file in sorted(file for file in files if file.is_file() and not file.is_symlink() and not skip(file)):
        try:
            _copy(root, partial, file)
        except FileNotFoundError:
            if strict:
                raise


def _copy(root: Path, partial: Path, file: Path) -> None:
    target = partial / file.relative_to(root)
    if target.exists() and target.stat().st_size == file.stat().st_size:
        return
    make_folder(target.parent)
    shutil.copy2(file, target)
    sync(target)
    sync(target.parent)


def _move(partial: Path, target: Path) -> None:
    """Let a complete copy appear under its name."""
    if target.exists():
        target.rmdir()
    partial.rename(target)
    sync(target.parent)
