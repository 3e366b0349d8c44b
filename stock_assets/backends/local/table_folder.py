"""The data folder to which a table belongs.

Belongs here: the rule that only tables created in the data folder are used, for reads (`table_reader`) and writes
(`iceberg`) alike, and the paths in Iceberg's addresses. Does not belong here: the layout of the folder (`data_folder`),
opening tables.
"""

from pathlib import Path
from urllib.parse import urlparse

from stock_assets.core.errors import SettingsError, TableOutsideDataFolder
from stock_assets.core.folder_names import why_not_for_tables


def path_of(address: str) -> str:
    """Return the path of a file that a table names."""
    # Not unquoted: pyiceberg writes and reads the path unchanged, with its percent signs.
    return urlparse(address).path


def require_usable(root: Path) -> None:
    """Raise SettingsError if Iceberg addresses cannot contain the path of the data folder."""
    reason = why_not_for_tables(root)
    if reason:
        raise SettingsError(
            f"The data folder {str(root)!r} cannot be used: {reason}. Set STOCK_ASSETS_DATA_DIR to another folder."
        )


def require_metadata_inside(root: Path, name: str, metadata_location: str) -> None:
    """Check the file of a table's metadata before it is read: after a move there is nothing left to read.

    Raises:
        TableOutsideDataFolder: the table was created in another data folder.
    """
    _require_inside(root, name, Path(path_of(metadata_location)).parent.parent)


def require_table_inside(root: Path, name: str, location: str) -> None:
    """Check the folder that a table's metadata names.

    Raises:
        TableOutsideDataFolder: the table was created in another data folder.
    """
    _require_inside(root, name, Path(path_of(location)))


def _require_inside(root: Path, name: str, folder: Path) -> None:
    """Compare the data folder in which a table was created with the data folder in use.

    Both may be links to the same folder. The folder of the table is not resolved: `published` may be a link to another
    disk, and a copy of that link would lead back to the files of the original.
    """
    created_in = folder.parent.parent
    schema, _, table = name.partition(".")
    if folder == created_in / schema / table and _is_same_folder(created_in, root):
        return
    raise TableOutsideDataFolder(
        f"{name} lies in {folder}, outside the data folder {root}. The data folder was copied or moved, and "
        "Iceberg stores absolute paths. Nothing was read or changed. To use it here, with its rows and snapshots, run "
        f"stock-assets relocate; it does not touch {created_in}. Or move the folder back"
    )


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        # The folder in which the table was created does not exist, or cannot be accessed.
        return False
