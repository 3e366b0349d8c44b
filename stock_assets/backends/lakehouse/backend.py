"""The base of the Athena and Trino backends: objects in S3 and tables in the Glue Data Catalog.

Belongs here: the parts of such a backend. Does not belong here: the engines (`backends.athena`, `backends.trino`).
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from stock_assets.backends.interface import Backend, Damage, FetchLedger, Objects, RateLimiter, StatementLog, Warehouse
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.iceberg_catalog import Databases
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.backends.lakehouse.rate_limiter import S3RateLimiter
from stock_assets.backends.lakehouse.remembered_objects import RememberedObjects
from stock_assets.backends.lakehouse.sql_engine import SqlEngine
from stock_assets.backends.lakehouse.warehouse import GlueWarehouse


@dataclass(frozen=True, kw_only=True)
class LakehouseBackend(Backend):
    """A backend in one folder of a bucket and three databases of the Glue Data Catalog.

    Attributes:
        bucket: name of the bucket.
        prefix: folder in the bucket, without leading and trailing slash; empty for the whole bucket.
        region: region of bucket, catalog and workgroup.
        database: prefix of the names of the Glue databases.
        role_arn: role to assume; empty for none.
        endpoint_url: address of an AWS emulator; empty for AWS.
        kms_key: KMS key that encrypts objects and results; empty for the keys that S3 manages.
        calls_prefix: folder in the bucket in which the calls to vendors are counted, for backends that share a quota;
            empty for the same folder.
        scratch_prefix: folder in the bucket of staging tables and inputs, which lifecycle rules may delete; empty for
            the same folder.
        scan_limit: bytes that one statement may read; None for the engine's own limit.
        query_timeout_seconds: time after which a statement is stopped.
    """

    bucket: str
    prefix: str
    region: str
    database: str
    role_arn: str = ""
    endpoint_url: str = ""
    kms_key: str = ""
    calls_prefix: str = ""
    scratch_prefix: str = ""
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
        """Objects under `quota/`."""
        if self.calls_prefix in ("", self.prefix):
            return S3RateLimiter(self._objects)
        return S3RateLimiter(RememberedObjects(self.access, BucketFolder(self.bucket, self.calls_prefix, self.kms_key)))

    @cached_property
    def warehouse(self) -> Warehouse:
        """Tables under `staged/tables/` and `published/`."""
        self._objects.require_layout()
        return self._warehouse

    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Find objects of the published tables that are missing or have another size; contents are checked by S3."""
        del deep
        return self._warehouse.damage()

    def take_statement_log(self) -> StatementLog:
        """Return the statements that were sent since the last call, and all statements of this process."""
        new, total = self._warehouse.take_runs()
        return StatementLog(self.engine.name, tuple(new), tuple(total))

    @property
    def access(self) -> AwsAccess:
        """Region, role and endpoint of the calls of AWS."""
        return AwsAccess(region=self.region, role_arn=self.role_arn, endpoint_url=self.endpoint_url)

    @cached_property
    @abstractmethod
    def engine(self) -> SqlEngine:
        """The engine that runs statements."""

    @cached_property
    def _objects(self) -> RememberedObjects:
        return RememberedObjects(self.access, BucketFolder(self.bucket, self.prefix, self.kms_key))

    @cached_property
    def _warehouse(self) -> GlueWarehouse:
        scratch = self._objects
        if self.scratch_prefix not in ("", self.prefix):
            scratch = RememberedObjects(self.access, BucketFolder(self.bucket, self.scratch_prefix, self.kms_key))
        return GlueWarehouse(self.access, self.engine, self._objects, scratch, Databases.of(self.database))
