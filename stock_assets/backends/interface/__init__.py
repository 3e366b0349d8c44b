"""The interface of a backend: objects, a ledger of requests, a rate limiter, and SQL over staged and published tables.

Belongs here: the interfaces, one per module, and the plain values they exchange; importers take both from this package.
Does not belong here: anything that knows a folder, a bucket or an engine. The tests in `stock_assets_tests/contracts`
run on every implementation.
"""

from stock_assets.backends.interface.backend import Backend, StatementLog, StatementRun
from stock_assets.backends.interface.damage import Damage, Part
from stock_assets.backends.interface.ledger import Fetch, FetchKind, FetchLedger
from stock_assets.backends.interface.objects import INGEST_DATE, STILL_WRITTEN, ListedPart, ObjectEntry, Objects
from stock_assets.backends.interface.rate_limiter import RateLimiter
from stock_assets.backends.interface.sql_connection import Digests, SqlConnection
from stock_assets.backends.interface.warehouse import MAINTENANCE, PURGED, AsOf, MaintenanceResult, Snapshot, Warehouse

__all__ = [
    "INGEST_DATE",
    "MAINTENANCE",
    "PURGED",
    "STILL_WRITTEN",
    "AsOf",
    "Backend",
    "Damage",
    "Digests",
    "Fetch",
    "FetchKind",
    "FetchLedger",
    "ListedPart",
    "MaintenanceResult",
    "ObjectEntry",
    "Objects",
    "Part",
    "RateLimiter",
    "Snapshot",
    "SqlConnection",
    "StatementLog",
    "StatementRun",
    "Warehouse",
]
