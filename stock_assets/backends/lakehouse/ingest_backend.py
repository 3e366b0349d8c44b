"""The parts of a lakehouse backend that requesting needs: objects, ledger and rate limiter, without tables.

Belongs here: what the Lambda function may reach. Does not belong here: tables and statements (`backend`), whose
libraries the function does not contain.
"""

import sys
from collections.abc import Iterator
from functools import cached_property

from stock_assets.backends.interface import Backend, Damage, Fetch, Objects, RateLimiter, Warehouse
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.data_folder import DataFolderObjects
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.backends.lakehouse.rate_limiter import S3RateLimiter


class AppendedLedger(S3Ledger):
    """The ledger of a process that deletes nothing: other processes pack what it writes.

    Attributes:
        responses: keys of the responses that this process has recorded since the list was cleared.
    """

    def __init__(self, objects: DataFolderObjects) -> None:
        super().__init__(objects, pack_after=sys.maxsize)
        self.responses: list[str] = []

    def record(self, *fetches: Fetch) -> None:
        """Store the requests, then note the keys of their responses."""
        super().record(*fetches)
        self.responses += [fetch.response_key for fetch in fetches if fetch.response_key]


class IngestBackend(Backend):
    """Objects and ledger in one folder of a bucket; the calls are counted in the same or another folder."""

    def __init__(self, access: AwsAccess, folder: BucketFolder, calls: BucketFolder | None = None) -> None:
        self._objects = DataFolderObjects(access, folder)
        self._calls = DataFolderObjects(access, calls or folder)

    @property
    def objects(self) -> Objects:
        """Objects below the prefix."""
        return self._objects

    @cached_property
    def ledger(self) -> AppendedLedger:
        """Objects under `ledger/`."""
        return AppendedLedger(self._objects)

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """Objects under `quota/`, shared with every other process."""
        return S3RateLimiter(self._calls)

    @property
    def warehouse(self) -> Warehouse:
        """Raise an error: nothing that requests prices reads tables."""
        raise NotImplementedError("this backend has no tables")

    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Raise an error, as `warehouse`."""
        del deep
        raise NotImplementedError("this backend has no tables")
