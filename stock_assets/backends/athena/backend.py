"""The AWS backend: objects in S3, tables in the Glue Data Catalog, SQL in Athena.

Belongs here: Athena's own settings. Does not belong here: what Trino shares with it (`backends.lakehouse`).
"""

from dataclasses import dataclass
from functools import cached_property

from stock_assets.backends.athena.engine import AthenaEngine, AthenaWorkgroup
from stock_assets.backends.lakehouse.backend import LakehouseBackend


@dataclass(frozen=True, kw_only=True)
class AthenaBackend(LakehouseBackend):
    """A lakehouse backend whose statements run in Athena.

    Attributes:
        workgroup: Athena workgroup.
        results: `s3://` address for query results; empty if the workgroup defines one.
        price_per_terabyte: price of reading, in USD.
        poll_seconds: pause between two status requests for a running statement.
    """

    workgroup: str
    results: str = ""
    price_per_terabyte: float = 5.0
    poll_seconds: float = 0.5

    @cached_property
    def engine(self) -> AthenaEngine:
        """Athena, in the workgroup."""
        return AthenaEngine(
            AthenaWorkgroup(
                self.access,
                self.workgroup,
                self.results,
                kms_key=self.kms_key,
                scan_limit=self.scan_limit,
                timeout_seconds=self.query_timeout_seconds,
                price_per_terabyte=self.price_per_terabyte,
                poll_seconds=self.poll_seconds,
            )
        )
