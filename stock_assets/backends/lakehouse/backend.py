"""An AWS account: objects in S3, tables in the Glue Data Catalog, SQL in Athena."""

from abc import abstractmethod
from functools import cached_property

import dagster as dg

from stock_assets.backends.athena.engine import Athena, Engine
from stock_assets.backends.interface import Backend, FetchLedger, Objects, Warehouse
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.iceberg_catalog import Databases
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import Place, S3Objects
from stock_assets.backends.lakehouse.rate_limiter import S3RateLimiter
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.lakehouse.warehouse import GlueWarehouse
from stock_assets.backends.rate_limiter import RateLimiter
from stock_assets.orchestration.assets.statement_runs import shown_runs


class LakehouseBackend(Backend):
    """Everything below one folder of a bucket, and three databases of the Glue Data Catalog; any engine over them.

    Attributes:
        bucket: name of the bucket.
        prefix: folder in it, without slashes at its ends; empty for the whole bucket.
        region: region of bucket, catalog and workgroup.
        database: what the names of the Glue databases begin with.
        role_arn: role to assume; empty for none.
        endpoint_url: address of an emulator; empty for AWS.
        kms_key: KMS key that encrypts objects and results; empty for the keys of S3.
        scan_limit: bytes one statement may read; None for as many as the engine allows.
        query_timeout_seconds: how long one statement may take.
    """

    bucket: str
    prefix: str
    region: str
    database: str
    role_arn: str = ""
    endpoint_url: str = ""
    kms_key: str = ""
    scan_limit: int | None = None
    query_timeout_seconds: float = 1800.0

    @cached_property
    def objects(self) -> Objects:
        """Objects below the prefix."""
        return self._objects

    @cached_property
    def ledger(self) -> FetchLedger:
        """Objects under `ledger/`."""
        return S3Ledger(self._objects)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """Objects under `budget/`."""
        return S3RateLimiter(self._objects)

    @cached_property
    def warehouse(self) -> Warehouse:
        """Tables under `staged/tables/` and `published/`."""
        return self._warehouse

    def sql_spending(self) -> dict[str, dg.MetadataValue]:
        """Show the statements sent since this was last asked, and what the run has taken so far."""
        return shown_runs(self.engine.name, *self._warehouse.take_runs())

    @property
    def access(self) -> AwsAccess:
        """How AWS is reached."""
        return AwsAccess(region=self.region, role_arn=self.role_arn, endpoint_url=self.endpoint_url)

    @cached_property
    @abstractmethod
    def engine(self) -> SqlEngine:
        """What runs the statements."""

    @cached_property
    def _objects(self) -> S3Objects:
        return S3Objects(self.access, Place(self.bucket, self.prefix, self.kms_key))

    @cached_property
    def _warehouse(self) -> GlueWarehouse:
        return GlueWarehouse(self.access, self.engine, self._objects, Databases.of(self.database))


class AthenaBackend(LakehouseBackend):
    """Statements are run by Athena.

    Attributes:
        workgroup: of Athena.
        results: `s3://` address for results; empty if the workgroup has its own.
        price_per_terabyte: of reading, in USD.
        poll_seconds: pause between looks at a running statement.
    """

    workgroup: str
    results: str = ""
    price_per_terabyte: float = 5.0
    poll_seconds: float = 0.5

    @cached_property
    def engine(self) -> Athena:
        """Athena, in the workgroup."""
        return Athena(
            Engine(
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
