"""Messages for files that cannot be read or written: a read-only folder, a full disk, a damaged database.

Belongs here: recognising these errors, and what to do. Does not belong here: errors that contain their remedy
(`core.errors`).
"""

import sqlite3

from stock_assets.core.errors import SettingsError

_RUN_HISTORY = "It holds the history of runs, no prices. To fix it, run: stock-assets repair --apply"


def storage_message(error: BaseException) -> str | None:
    """Return what happened to which file and what to do; None if the error has nothing to do with files.

    Dagster and SQLAlchemy wrap the errors of SQLite, so the causes are searched too.
    """
    if message := _full_disk_message(error):
        return message
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


def _full_disk_message(error: BaseException) -> str:
    # As below: only this error needs the settings.
    from stock_assets.backends.local.full_disk import describe, is_full_disk
    from stock_assets.settings import Settings

    if not is_full_disk(error):
        return ""
    try:
        return describe(Settings.from_env().root)
    except SettingsError:
        return f"No space is left on a disk: {error}. Free space, then run the same command again."


def _database_message(error: sqlite3.Error) -> str:
    # pydantic takes a quarter of a second to import; only this error needs it.
    from stock_assets.backends.damage_texts import describe
    from stock_assets.backends.local.database import damaged_databases, database_problem
    from stock_assets.settings import Settings

    try:
        settings = Settings.from_env()
    except SettingsError:
        return f"A SQLite database cannot be used: {error}."
    for damage in damaged_databases(settings.root):
        return f"{describe(damage)}."
    for file in sorted(settings.instance_dir.rglob("*.db")):
        if why := database_problem(file):
            return f"{file}: {why}. {_RUN_HISTORY}."
    return (
        f"A database below {settings.root} cannot be used: {error}. Check the permissions of the folder and its files, "
        "and the free space of the disk."
    )
