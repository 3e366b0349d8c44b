"""The configuration file in the folder of the Dagster instance.

Belongs here: bringing it, and bringing a newer one. Does not belong here: its text (`infra/local/dagster.yaml`).
"""

from hashlib import sha256
from pathlib import Path

from stock_assets.core.sql import bundled

INSTANCE_FILE = "dagster.yaml"
SHIPPED_FILE = ".dagster.yaml.shipped"
"""Keeps the hash of the file as it was brought: one that differs from it was edited."""

_SHIPPED_BEFORE = frozenset(
    {
        "18337ef3dd4b39b1374f89396cb6c9915251108d101f3a173fe5a3c30bfedeb6",
        "588626fd1f951acff70b8290b8788d88dee2ab1e7d894c97d71ac1c79d192302",
        "742f3419dd5f6f97ab7b8c142a5f441f349b8daa363cd6248d06739937ff5c27",
    }
)
"""Hashes of the files brought before hashes were kept."""


def configure_instance(folder: Path) -> None:
    """Bring this version's configuration, unless the folder has one that somebody edited."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / INSTANCE_FILE
    text = bundled("infra/local").joinpath(INSTANCE_FILE).read_bytes()
    if file.exists() and (file.read_bytes() == text or _edited(folder)):
        return
    _replace(file, text)
    _replace(folder / SHIPPED_FILE, sha256(text).hexdigest().encode())


def _edited(folder: Path) -> bool:
    kept = folder / SHIPPED_FILE
    shipped = _SHIPPED_BEFORE | ({kept.read_text(encoding="ascii")} if kept.exists() else set())
    return sha256((folder / INSTANCE_FILE).read_bytes()).hexdigest() not in shipped


def _replace(file: Path, content: bytes) -> None:
    """Write it in one go: a server may be reading it."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_bytes(content)
    fresh.replace(file)
