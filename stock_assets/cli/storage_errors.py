"""Messages for files that cannot be read or written: a read-only folder, a full disk, a damaged database.

Belongs here: recognising these errors, and what to do. Does not belong here: errors that contain their remedy
(`core.errors`).
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from stock_assets.core.errors import SettingsError

_RUN_HISTORY = "It holds the history of runs, no prices: move it away, and Dagster starts a new one."
_CALLS = (
    "It counts the calls to the vendor, no prices: move it away when no run is active. Today's calls are not counted "
    "then, so the vendor may refuse the last ones of the day."
)
_REBUILD = "Restore it from a backup."


def storage_message(error: BaseException) -> str | None:
    """Return what happened to which file and what to do; None if the error has nothing to do with files.

    Dagster and SQLAlchemy wrap the errors of SQLite, so the causes are searched too.
    """
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, sqlite3.Error):
            return _database_message(current)
        if isinstance(current, OSError) and current.filename is not None:
            return (
                f"{current.filename}: {current.strerror}. Check the path, the permissions of the folder "
                "and the free space of the disk."
            )
        current = current.__cause__ or current.__context__
    return None


def _database_message(error: sqlite3.Error) -> str:
    # pydantic takes a quarter of a second to import; only this error needs it.
    from stock_assets.backends.local.database import CALLS_FILE
    from stock_assets.settings import Settings

    try:
        settings = Settings.from_env()
    except SettingsError:
        return f"A SQLite database cannot be used: {error}."
    for file in sorted({*settings.root.rglob("*.db"), *settings.instance_dir.rglob("*.db")}):
        if _is_damaged(file):
            of_pipeline = _CALLS if file.name == CALLS_FILE else _REBUILD
            remedy = _RUN_HISTORY if file.is_relative_to(settings.instance_dir) else of_pipeline
            return f"The database {file} is damaged: {error}. {remedy}"
    return (
        f"A database below {settings.root} cannot be used: {error}. Check the permissions of the folder and its files, "
        "and the free space of the disk."
    )


def _is_damaged(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            [(result,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError:
        # The file cannot be opened, or another process holds it: this proves nothing about its content.
        return False
    except sqlite3.DatabaseError:
        return True
    return bool(result != "ok")
