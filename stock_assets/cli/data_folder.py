"""Commands for the data folder of the local backend: `relocate`.

Belongs here: arguments and printing. Does not belong here: what a command does (`backends.local`, `maintenance`).
"""

from pathlib import Path

from stock_assets.cli.output import print_line


def relocate() -> None:
    """Use a copied or moved data folder at its new place; the folder that it was copied from is not touched."""
    from stock_assets.backends.local.data_folder import DataFolder
    from stock_assets.backends.local.relocation import relocate as rewrite

    root = _local_root()
    done = rewrite(DataFolder(root).root)
    for table in done:
        print_line(f"{table.table}: moved from {table.earlier}; {table.files} metadata files written.")
    if not done:
        print_line(f"Nothing to do: every table of {root} was created in this folder.")


def _local_root() -> Path:
    """Return the data folder.

    Raises:
        SettingsError: the backend has no data folder.
    """
    from stock_assets.core.errors import SettingsError
    from stock_assets.settings import BackendName, Settings

    settings = Settings.from_env()
    if settings.backend is not BackendName.LOCAL:
        raise SettingsError(
            f"The command needs a data folder on this machine, and STOCK_ASSETS_BACKEND is {settings.backend}. "
            "Set it to local."
        )
    return settings.root
