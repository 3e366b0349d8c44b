"""A second warehouse and ledger inside a data folder, in which tables or a ledger are built again.

Belongs here: which parts are those of the data folder and which are new. Does not belong here: what is built
(`maintenance.rebuild`), replacing (`repair`).
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from stock_assets.backends.interface import Backend, Damage, FetchLedger, ObjectEntry, Objects, RateLimiter, Warehouse
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.warehouse import DuckDbWarehouse

FOLDER = "rebuilding"
_SHARED = ("raw/", "acknowledgements/", "staged/splits/")
"""Folders of the data folder: responses, acknowledgements, and the split factors that the new rows follow."""


@dataclass(frozen=True)
class ScratchBackend(Backend):
    """The raw responses of a data folder, with new tables; and with a new ledger, if wanted.

    Attributes:
        original: the backend of the data folder.
        new_ledger: whether the ledger is a new one too.
    """

    original: LocalBackend
    new_ledger: bool = False

    @property
    def root(self) -> Path:
        """The folder of the new parts."""
        return self.original.root.absolute() / FOLDER

    def clear(self) -> None:
        """Remove what an earlier attempt has left."""
        shutil.rmtree(self.root, ignore_errors=True)

    @cached_property
    def objects(self) -> Objects:
        """Raw responses, acknowledgements and split factors of the data folder; new records of loads."""
        return _Overlay(self.original.objects, LocalBackend(self.root).objects)

    @cached_property
    def ledger(self) -> FetchLedger:
        """The ledger of the data folder, or a new one."""
        return SqliteLedger(DataFolder(self.root)) if self.new_ledger else self.original.ledger

    @property
    def rate_limiter(self) -> RateLimiter:
        """The one of the data folder."""
        return self.original.rate_limiter

    @cached_property
    def warehouse(self) -> Warehouse:
        """New tables."""
        return DuckDbWarehouse(DataFolder(self.root), self.objects, self.original.memory_limit_mb)

    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Check the new parts."""
        return LocalBackend(self.root).damage(deep=deep)


class _Overlay(Objects):
    def __init__(self, shared: Objects, own: Objects) -> None:
        self._shared = shared
        self._own = own

    def put(self, key: str, body: bytes) -> None:
        self._of(key).put(key, body)

    def get(self, key: str) -> bytes:
        return self._of(key).get(key)

    def keys(self, prefix: str) -> list[str]:
        return self._of(prefix).keys(prefix)

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        return self._of(prefix).entries(prefix, since=since)

    def delete(self, key: str) -> None:
        self._of(key).delete(key)

    def pack(self, keys: Iterable[str]) -> int:
        del keys
        return 0

    def uri(self, key: str) -> str:
        return self._of(key).uri(key)

    def _of(self, key: str) -> Objects:
        return self._shared if key.startswith(_SHARED) else self._own
