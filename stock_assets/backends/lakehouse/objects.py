"""Objects in an S3 bucket.

Belongs here: calls of S3. Does not belong here: what the objects mean.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, takewhile
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from stock_assets.backends.interface import INGEST_DATE, STILL_WRITTEN, ListedPart, ObjectEntry, Objects
from stock_assets.backends.lakehouse.aws_session import AwsAccess, error_code, typed_errors
from stock_assets.core.errors import ObjectExists, ServiceRefused, ServiceUnavailable
from stock_assets.core.retry import retrying

_CONDITION_NOT_MET = "PreconditionFailed"
_CONFLICT = "ConditionalRequestConflict"
"""S3 was processing another conditional request for the same key; S3 asks the client to try again."""
_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_WRITER = "writer"
_PER_DELETE = 1000
"""Keys that S3 deletes per request."""
LISTED_TOGETHER = 50_000
"""Most objects that `list_part` lists: 50 requests to S3, which take some seconds."""


@dataclass(frozen=True)
class BucketFolder:
    """A folder of a bucket, and the encryption of the objects in it.

    Attributes:
        bucket: name of the bucket.
        prefix: path of the folder without leading and trailing slash; empty for the whole bucket.
        kms_key: id of the KMS key; empty for the keys that S3 manages.
    """

    bucket: str
    prefix: str
    kms_key: str = ""

    def key(self, name: str) -> str:
        """Return the key in the bucket for a key in the folder."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def uri(self, name: str) -> str:
        """Return the `s3://` address of a key in the folder."""
        return f"s3://{self.bucket}/{self.key(name)}"

    def encryption(self) -> dict[str, str]:
        """Return the arguments of `put_object` that encrypt an object."""
        if self.kms_key:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        return {"ServerSideEncryption": "AES256"}


class S3Objects(Objects):
    """Immutable objects: S3 rejects a put that would replace an object, and never shows half an object."""

    def __init__(self, access: AwsAccess, folder: BucketFolder) -> None:
        self._access = access
        self._folder = folder

    def put(self, key: str, body: bytes) -> None:
        """Store a new object; S3 checks that the key is free."""
        if not self.put_if(key, body, etag=None):
            raise ObjectExists(f"{key} is already stored, and a stored object is never replaced")

    def put_if(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """Store an object if the key is free (no `etag`) or still has this ETag; return whether it was stored."""
        return self.put_version(key, body, etag=etag) is not None

    def put_version(self, key: str, body: bytes, *, etag: str | None) -> str | None:
        """Store an object as `put_if` does; return its ETag, or None if it was not stored."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        writer = uuid4().hex

        def put() -> str | None:
            try:
                response = self._s3.put_object(
                    Bucket=self._folder.bucket,
                    Key=self._key(key),
                    Body=body,
                    Metadata={_WRITER: writer},
                    **condition,
                    **self._folder.encryption(),
                )
            except ClientError as error:
                code = error_code(error)
                if code == _CONDITION_NOT_MET or (etag is not None and code == "NoSuchKey"):
                    return self._etag_written_by(key, writer)
                raise
            return str(response["ETag"])

        policy = retrying(
            attempts=_ATTEMPTS,
            longest_seconds=_LONGEST_PAUSE_SECONDS,
            first_seconds=_FIRST_PAUSE_SECONDS,
            on=lambda error: isinstance(error, ClientError) and error_code(error) == _CONFLICT,
        )
        with typed_errors(f"storing {self._folder.uri(key)}"):
            return policy(put)

    def get(self, key: str) -> bytes:
        """Read the object."""
        return self.get_version(key)[0]

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Read the object and its ETag.

        Raises:
            KeyError: no object has this key.
        """
        with typed_errors(f"reading {self._folder.uri(key)}"):
            try:
                response = self._s3.get_object(Bucket=self._folder.bucket, Key=self._key(key))
                return response["Body"].read(), response["ETag"]
            except ClientError as error:
                if error_code(error) != "NoSuchKey":
                    raise
        raise KeyError(key)

    def keys(self, prefix: str) -> list[str]:
        """List the keys, page by page."""
        return [entry.key for entry in self.entries(prefix)]

    def entries(self, prefix: str, *, since: datetime | None = None) -> Sequence[ObjectEntry]:
        """List the objects, page by page; S3 sorts keys by their bytes, as Python sorts strings.

        With `since`, one listing ends at the first folder `ingest_date=...`, and one begins at the day before `since`.
        """
        skip = len(self._folder.key(""))
        found = self._found(prefix)
        if since is not None:
            dated = f"{prefix}{INGEST_DATE}"
            before = takewhile(lambda entry: entry["Key"] < self._key(dated), found)
            found = chain(
                before, self._found(prefix, after=f"{dated}{(since - STILL_WRITTEN).astimezone(UTC):%Y-%m-%d}")
            )
        return [_entry(one, skip) for one in found]

    def list_part(self, prefix: str, *, after: str = "") -> ListedPart:
        """List objects, at most 50 pages."""
        skip = len(self._folder.key(""))
        entries = [_entry(one, skip) for one in islice(self._found(prefix, after=after), LISTED_TOGETHER)]
        return ListedPart(entries, entries[-1].key if len(entries) == LISTED_TOGETHER else "")

    def etags(self, prefix: str) -> list[tuple[str, str]]:
        """Return the keys below a prefix with their ETags, in the order of the keys."""
        skip = len(self._folder.key(""))
        return [(found["Key"][skip:], found["ETag"]) for found in self._found(prefix)]

    def delete(self, key: str) -> None:
        """Delete the object."""
        with typed_errors(f"removing {self._folder.uri(key)}"):
            self._s3.delete_object(Bucket=self._folder.bucket, Key=self._key(key))

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand per request; after an error some may still exist."""
        self._delete_found(self._key(key) for key in keys)

    def delete_all(self, prefix: str) -> None:
        """Delete everything below a prefix that ends with `/`."""
        if not prefix.endswith("/"):
            raise ValueError(f"not a folder: {prefix!r}")
        self._delete_found(found["Key"] for found in self._found(prefix))

    def empty(self) -> None:
        """Delete everything in the folder; a bucket that does not exist is empty."""
        try:
            self._delete_found(found["Key"] for found in self._found(""))
        except ServiceRefused as error:
            if not isinstance(error.__cause__, ClientError) or error_code(error.__cause__) != "NoSuchBucket":
                raise

    def _delete_found(self, keys: Iterable[str]) -> None:
        every = list(keys)
        for start in range(0, len(every), _PER_DELETE):
            batch = every[start : start + _PER_DELETE]
            step = f"removing s3://{self._folder.bucket}/{batch[0]}"
            with typed_errors(step):
                delete = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
                response = self._s3.delete_objects(Bucket=self._folder.bucket, Delete=delete)
                if response.get("Errors"):
                    raise ServiceUnavailable(f"{step}: {response['Errors'][0]}")

    def key_in_bucket(self, key: str) -> str:
        """Return the key with the path of the folder."""
        return self._folder.key(key)

    def uri(self, key: str) -> str:
        """Return the `s3://` address."""
        return self._folder.uri(key)

    def full_address(self, key: str) -> str:
        """Return the address with the endpoint or region, which differs from that of any other place."""
        return f"{self._access.endpoint_url or self._access.region} {self._folder.uri(key)}"

    def _found(self, prefix: str, *, after: str = "") -> Iterator[dict[str, Any]]:
        start = {"StartAfter": self._key(after)} if after else {}
        with typed_errors(f"listing {self._folder.uri(prefix)}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._folder.bucket, Prefix=self._key(prefix), **start
            )
            for page in pages:
                yield from page.get("Contents", [])

    def _etag_written_by(self, key: str, writer: str) -> str | None:
        """Return the ETag if this writer stored the object: boto3 repeats a put whose response was lost."""
        try:
            found = self._s3.head_object(Bucket=self._folder.bucket, Key=self._key(key))
        except ClientError as error:
            if error_code(error) not in ("404", "NoSuchKey"):
                raise
            return None
        return str(found["ETag"]) if found["Metadata"].get(_WRITER) == writer else None

    def _key(self, key: str) -> str:
        if ".." in key.split("/"):
            raise ValueError(f"not an object key: {key!r}")
        return self._folder.key(key)

    @property
    def _s3(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._access.client("s3")


def _entry(found: dict[str, Any], skip: int) -> ObjectEntry:
    """Return an object of a listing; its key without the first characters."""
    return ObjectEntry(found["Key"][skip:], found["Size"], found["LastModified"].astimezone(UTC))
