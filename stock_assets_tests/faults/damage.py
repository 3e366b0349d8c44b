"""The damaged files: each kind of file of a data folder, deleted, emptied, truncated, or with one byte changed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stock_assets_tests.faults.folder import Folder


def delete(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    file.write_bytes(b"")


def truncate(file: Path) -> None:
    body = file.read_bytes()
    file.write_bytes(body[: len(body) // 2])


def change_one_byte(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 0x15
    file.write_bytes(bytes(body))


DAMAGES: tuple[Callable[[Path], None], ...] = (delete, empty, truncate, change_one_byte)
KINDS = {
    "layout": "layout.json",
    "ledger": "ledger.db",
    "catalog": "catalog.db",
    "response": "raw/daily_prices/ingest_date=*/*/IBM.csv",
    "splits": "raw/splits/ingest_date=*/*/MSFT.json",
    "pack": "raw/packs/daily_prices/*/*.zip",
    "metadata": "published/daily_prices/metadata/*.metadata.json",
    "manifest": "published/daily_prices/metadata/*-m0.avro",
    "manifest list": "published/daily_prices/metadata/snap-*.avro",
    "data": "published/daily_prices/data/*/*.parquet",
    "load record": "staged/loads/2013-02-25_*/*.json",
    "recorded audit": "audits/*/*/*.json",
}
"""Files of the folder by kind; of several, the last one is damaged, because the newest snapshot needs it."""


@dataclass(frozen=True)
class Case:
    """One file to damage.

    Attributes:
        kind: kind of the file.
        damage: what is done to it.
    """

    kind: str
    damage: Callable[[Path], None]

    @property
    def name(self) -> str:
        """Name of the case."""
        return f"{self.kind} {self.damage.__name__}".replace(" ", "-")

    def apply(self, folder: Folder) -> Path:
        """Damage the file and return it."""
        file = max(folder.root.glob(KINDS[self.kind]), key=lambda one: (one.stat().st_mtime_ns, one.name))
        self.damage(file)
        return file


CASES = tuple(Case(kind, damage) for kind in KINDS for damage in DAMAGES)
"""48 cases."""
