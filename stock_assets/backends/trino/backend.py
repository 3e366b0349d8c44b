"""The Trino backend: your own Trino cluster over S3 and the Glue Data Catalog.

Belongs here: Trino's own settings. Does not belong here: what it shares with Athena (`backends.lakehouse`). This module
needs Trino's client, which the extra `trino` installs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.trino.engine import TrinoEngine, TrinoServer


@dataclass(frozen=True, kw_only=True)
class TrinoBackend(LakehouseBackend):
    """A lakehouse backend whose statements run on a Trino server.

    Attributes:
        url: address of the coordinator.
        user: user name sent to Trino.
        password: returns the password, or nothing where the server needs none; it is called when a statement is sent.
        catalog: Trino catalog of the Iceberg connector, over the Glue Data Catalog.
        hive_catalog: Trino catalog of the Hive connector, over the same Glue Data Catalog.
    """

    url: str
    user: str
    password: Callable[[], str] = field(default=str, repr=False)
    catalog: str = "iceberg"
    hive_catalog: str = "hive"

    @cached_property
    def engine(self) -> TrinoEngine:
        """The Trino server."""
        return TrinoEngine(
            TrinoServer(
                self.url,
                self.user,
                password=self.password,
                catalog=self.catalog,
                hive_catalog=self.hive_catalog,
                scan_limit=self.scan_limit,
                timeout_seconds=self.query_timeout_seconds,
            )
        )
