"""The layout version that a data folder records, so that data of another version are never partly read.

Belongs here: the version, the content of the file that records it, and the messages for other versions. Does not belong
here: where the file lies and when it is written (`local.data_folder`, `lakehouse.data_folder`).
"""

import json
from shlex import quote

from stock_assets.core.errors import UnsupportedLayout

LAYOUT_KEY = "layout.json"
"""Name of the file in the data folder, or of the object below the prefix of a bucket."""
LAYOUT_VERSION = 2
"""Layout that this version of the package writes. Version 1 had no layout file."""
EARLIER_VERSIONS = (1,)
"""Versions that `stock-assets migrate` reads on the local backend."""


def layout_body() -> bytes:
    """Return the content of the layout file."""
    return json.dumps({"layout_version": LAYOUT_VERSION}).encode() + b"\n"


def stated_version(body: bytes) -> int | None:
    """Return the version in a layout file; None if it is not a layout file."""
    try:
        found = json.loads(body)["layout_version"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if type(found) is int else None


def check_layout(body: bytes, folder: str, *, new_folder: str, migrate: str = "") -> None:
    """Check the content of a layout file.

    Args:
        body: the content.
        folder: address of the data folder.
        new_folder: how to select another data folder, for the message.
        migrate: how to migrate an earlier layout, for the message; empty if only an import can.

    Raises:
        UnsupportedLayout: the file records another version, or is not a layout file.
    """
    found = stated_version(body)
    if found is None:
        raise UnsupportedLayout(
            f"{folder}/{LAYOUT_KEY} is not a layout file of stock_assets, so the data folder cannot be read. To fix "
            f"it, run: stock-assets repair --apply. Or restore the file from a backup, or {new_folder}"
        )
    if found > LAYOUT_VERSION:
        raise UnsupportedLayout(
            f"The data folder {folder} has layout version {found}, written by a newer release of stock_assets; this "
            f"release reads version {LAYOUT_VERSION}. Upgrade stock_assets, or {new_folder}"
        )
    if found < LAYOUT_VERSION:
        raise older_layout(folder, migrate or import_responses(folder, new_folder))


def older_layout(folder: str, remedy: str) -> UnsupportedLayout:
    """Return the error for a data folder of an older release."""
    return UnsupportedLayout(
        f"The data folder {folder} was written by an older release of stock_assets and has an older layout; this "
        f"release reads version {LAYOUT_VERSION}. Nothing in the folder was changed. To keep its data, {remedy}"
    )


def import_responses(folder: str, new_folder: str) -> str:
    """Return how to import the raw responses of an older folder into a new one."""
    raw = quote(f"{folder}/raw/daily_prices")
    return f"{new_folder}, and import the old raw responses into it: stock-assets import {raw}"
