"""Files of settings: find the nearest one, and read its variables.

Belongs here: the search in a folder and its parents, and the format of `.env`. Does not belong here: what the variables
mean, and the environment (`settings`).
"""

import os
from pathlib import Path

from stock_assets.core.errors import SettingsError


def find_upwards(folder: Path, name: str) -> Path | None:
    """Return the file of this name in a folder or its nearest parent; files of other users are skipped.

    A parent folder may be writable for everyone, and a setting decides where the API key is sent.
    """
    for parent in (folder, *folder.parents):
        file = parent / name
        try:
            trusted = file.is_file() and (not hasattr(os, "getuid") or file.stat().st_uid in {os.getuid(), 0})
        except OSError:
            continue
        if trusted:
            return file
    return None


def read_env_file(file: Path) -> dict[str, str]:
    """Return the variables of a file of lines `NAME=value`, without empty ones.

    Raises:
        SettingsError: the file cannot be read.
    """
    # Only machines with such a file need the library.
    from dotenv import dotenv_values  # noqa: PLC0415 (as above)

    try:
        with file.open(encoding="utf-8") as stream:
            values = dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {file} cannot be read: {error}. Fix or remove it.") from error
    return {name: value for name, value in values.items() if value}
