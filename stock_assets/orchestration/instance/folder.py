"""The configuration file in the folder of the Dagster instance.

Belongs here: writing it, and replacing it after an upgrade or a change of settings. Does not belong here: its text
(`infra/local/dagster.yaml`).

A file that the user has edited is never replaced. If it contradicts the package or the settings, an error states what
to change.
"""

import re
from hashlib import sha256
from pathlib import Path

from stock_assets.core.errors import SettingsError
from stock_assets.core.sql import bundled
from stock_assets.settings import EventLog

INSTANCE_FILE = "dagster.yaml"
SHIPPED_FILE = ".dagster.yaml.shipped"
"""Contains the hash of the file as the package wrote it. A file with another hash was edited."""

_EVENT_LOG = re.compile(r"^event_log_storage:\n(?:[ ]+.*\n)+\n", re.MULTILINE)
_OPTIMIZED_LOG = "LocalEventLogStorage"
_MOVED_MODULE = re.compile(r"\bstock_assets\.instance\.\w+")
"""Modules that `dagster.yaml` named before they moved to `stock_assets.orchestration.instance`."""


def configure_instance(folder: Path, event_log: EventLog = EventLog.OPTIMIZED) -> None:
    """Write this version's configuration, unless the folder has one that was edited.

    Raises:
        SettingsError: the file was edited, and names a moved module or another event log than the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / INSTANCE_FILE
    text = _shipped_text(event_log)
    if file.exists():
        current = file.read_bytes()
        if current == text:
            return
        if _is_edited(folder):
            _check_edited(file, current.decode(), event_log)
            return
    _replace(file, text)
    _replace(folder / SHIPPED_FILE, sha256(text).hexdigest().encode())


def _shipped_text(event_log: EventLog) -> bytes:
    text = bundled("infra/local").joinpath(INSTANCE_FILE).read_text(encoding="utf-8")
    # Without the entry, Dagster uses its own storage in the same folder.
    return (_EVENT_LOG.sub("", text) if event_log is EventLog.BUILTIN else text).encode()


def _is_edited(folder: Path) -> bool:
    hash_file = folder / SHIPPED_FILE
    shipped = hash_file.read_text(encoding="ascii") if hash_file.exists() else ""
    return sha256((folder / INSTANCE_FILE).read_bytes()).hexdigest() != shipped


def _check_edited(file: Path, text: str, event_log: EventLog) -> None:
    remedy = "delete the file (it is written again) and repeat your changes in the new one"
    moved = _MOVED_MODULE.search(text)
    if moved:
        raise SettingsError(f"{file} names the module {moved[0]}, which has moved; {remedy}")
    if event_log is EventLog.BUILTIN and _OPTIMIZED_LOG in text:
        raise SettingsError(
            f"STOCK_ASSETS_EVENT_LOG is builtin, but {file} was edited and names {_OPTIMIZED_LOG}; remove "
            f"event_log_storage from it, or {remedy}"
        )


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically: a server may be reading it."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_bytes(content)
    fresh.replace(file)
