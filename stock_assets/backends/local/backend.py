"""The local backend: one folder on this machine.

Belongs here: which parts a local backend consists of. Does not belong here: the parts (the modules beside this one).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stock_assets.backends.interface import Backend, Damage, FetchLedger, Objects, RateLimiter, Warehouse
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.objects import FolderObjects
from stock_assets.backends.local.publish_lock import publishing
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.backends.local.warehouse import DuckDbWarehouse


@dataclass(frozen=True)
class LocalBackend(Backend):
    """Files, SQLite, DuckDB and Iceberg (pyiceberg) below one folder.

    Attributes:
        root: the folder; created by the first write. Iceberg stores absolute paths, so using the tables of a copied or
            moved folder raises `TableOutsideDataFolder`; using a folder of another layout raises `UnsupportedLayout`.
        memory_limit_mb: memory in MB that DuckDB may use for one connection.
        chunk_rows: the most rows of a load that are staged and audited at once; by default, as many as fit into the
            memory.
        calls_root: folder in which the calls to vendors are counted, for backends that share a quota; by default the
            same folder.
    """

    root: Path
    memory_limit_mb: int = 1000
    chunk_rows: int | None = None
    calls_root: Path | None = None

    @cached_property
    def objects(self) -> Objects:
        """Files below the folder."""
        return FolderObjects(self.data_folder)

    @cached_property
    def ledger(self) -> FetchLedger:
        """A table of `ledger.db`."""
        return SqliteLedger(self.data_folder)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """Tables of `calls.db`."""
        return SqliteRateLimiter(DataFolder(self.calls_root) if self.calls_root else self.data_folder)

    @cached_property
    def warehouse(self) -> Warehouse:
        """`staged/`, `published/` and `catalog.db`."""
        return DuckDbWarehouse(self.data_folder, self.objects, self.memory_limit_mb, self.chunk_rows)

    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Check databases, tables and packs."""
        from stock_assets.backends.local.damage import damage  # noqa: PLC0415 (imports large libraries)

        return damage(self.data_folder.root, deep=deep)

    def publishing(self) -> AbstractContextManager[None]:
        """Lock `publish.lock`."""
        return publishing(self.data_folder.prepare())

    @cached_property
    def data_folder(self) -> DataFolder:
        """The folder, whose layout is checked before the first access."""
        return DataFolder(self.root)
