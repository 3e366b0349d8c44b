"""One machine, no account: a folder of files, SQLite, DuckDB in memory, and Iceberg tables by pyiceberg."""

from functools import cached_property
from pathlib import Path

from stock_assets.backends.interface import Backend, FetchLedger, Objects, Warehouse
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.objects import FolderObjects
from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.backends.local.warehouse import DuckDbWarehouse
from stock_assets.backends.rate_limiter import RateLimiter


class LocalBackend(Backend):
    """Everything below one folder.

    Attributes:
        root: the folder; made when first written to. Iceberg stores absolute paths, so the tables of a copied or moved
            folder are refused (`TableOutsideDataFolder`).
    """

    root: str

    @cached_property
    def objects(self) -> Objects:
        """Files under the folder."""
        return FolderObjects(Path(self.root))

    @cached_property
    def ledger(self) -> FetchLedger:
        """One SQLite file."""
        return SqliteLedger(Path(self.root) / "ledger.db")

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """Two tables in the ledger's file."""
        return SqliteRateLimiter(Path(self.root) / "ledger.db")

    @cached_property
    def warehouse(self) -> Warehouse:
        """Parquet files: `staged/` for loads, `published/` for Iceberg tables."""
        return DuckDbWarehouse(Path(self.root))
