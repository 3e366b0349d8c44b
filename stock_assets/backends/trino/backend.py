"""A Trino cluster of one's own over S3 and the Glue Data Catalog; all but the engine is as in `backends.aws`.

Importing this needs the client, which the extra `trino` installs.
"""

from functools import cached_property

from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.trino.engine import Trino, TrinoServer


class TrinoBackend(LakehouseBackend):
    """Statements are run by a Trino server.

    Attributes:
        url: address of the coordinator.
        user: whom it is told the statements are from.
        catalog: its catalog of the Iceberg connector, over the Glue Data Catalog.
        hive_catalog: its catalog of the Hive connector, over the same.
    """

    url: str
    user: str
    catalog: str = "iceberg"
    hive_catalog: str = "hive"

    @cached_property
    def engine(self) -> Trino:
        """The server."""
        return Trino(
            TrinoServer(
                self.url,
                self.user,
                catalog=self.catalog,
                hive_catalog=self.hive_catalog,
                scan_limit=self.scan_limit,
                timeout_seconds=self.query_timeout_seconds,
            )
        )
