"""Objects in a bucket.

Belongs here: S3. Does not belong here: what the objects mean.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from stock_assets.backends.interface import ObjectEntry, Objects
from stock_assets.backends.lakehouse.aws_session import AwsAccess, code_of, typed_errors
from stock_assets.core.errors import ObjectExists, ServiceUnavailable

_TAKEN = "PreconditionFailed"
_UNDECIDED = "ConditionalRequestConflict"
"""Another conditional request for the key was in the way; S3 asks to try again."""
_TRIES = 6
_WRITER = "writer"
_PER_DELETE = 1000
"""Keys S3 takes in one request."""


@dataclass(frozen=True)
class Place:
    """A folder of a bucket, and how what is written there is encrypted.

    Attributes:
        bucket: name of the bucket.
        prefix: the folder, without slashes at its ends; empty for the whole bucket.
        kms_key: id of the KMS key; empty for the keys of S3.
    """

    bucket: str
    prefix: str
    kms_key: str = ""

    def key(self, name: str) -> str:
        """Give the key in the bucket of a key in the folder."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def uri(self, name: str) -> str:
        """Give the address of a key in the folder."""
        return f"s3://{self.bucket}/{self.key(name)}"

    def encryption(self) -> dict[str, str]:
        """Give the arguments that encrypt an object."""
        if self.kms_key:
            return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        return {"ServerSideEncryption": "AES256"}


class S3Objects(Objects):
    """Immutable objects: S3 itself refuses to replace one, and shows an object whole or not at all."""

    def __init__(self, access: AwsAccess, place: Place) -> None:
        self._access = access
        self._place = place

    def put(self, key: str, body: bytes) -> None:
        """Put on the condition that nothing is there."""
        if not self.put_if(key, body, etag=None):
            raise ObjectExists(f"{key} is already stored; stored answers are never replaced")

    def put_if(self, key: str, body: bytes, *, etag: str | None) -> bool:
        """Put on the condition that nothing is there, or still the version with this ETag; tell whether it was."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        writer = uuid4().hex
        for attempt in range(1, _TRIES + 1):
            with typed_errors(f"storing {self._place.uri(key)}"):
                try:
                    self._s3.put_object(
                        Bucket=self._place.bucket,
                        Key=self._key(key),
                        Body=body,
                        Metadata={_WRITER: writer},
                        **condition,
                        **self._place.encryption(),
                    )
                except ClientError as error:
                    code = code_of(error)
                    if code == _TAKEN or (etag is not None and code == "NoSuchKey"):
                        return self._was_written_by(key, writer)
                    if code != _UNDECIDED or attempt == _TRIES:
                        raise
                else:
                    return True
            time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 (jitter)
        raise AssertionError("unreachable")

    def get(self, key: str) -> bytes:
        """Read the object."""
        return self.get_version(key)[0]

    def get_version(self, key: str) -> tuple[bytes, str]:
        """Read the object and its ETag; raises KeyError if there is none."""
        with typed_errors(f"reading {self._place.uri(key)}"):
            try:
                answer = self._s3.get_object(Bucket=self._place.bucket, Key=self._key(key))
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
        raise KeyError(key)

    def list(self, prefix: str) -> list[str]:
        """List page by page."""
        return [entry.key for entry in self.entries(prefix)]

    def entries(self, prefix: str) -> Sequence[ObjectEntry]:
        """List page by page; S3 sorts by the bytes of the key, as Python does by its characters."""
        skip = len(self._place.key(""))
        return [
            ObjectEntry(found["Key"][skip:], found["Size"], found["LastModified"].astimezone(UTC))
            for found in self._found(prefix)
        ]

    def delete(self, key: str) -> None:
        """Delete the object."""
        with typed_errors(f"removing {self._place.uri(key)}"):
            self._s3.delete_object(Bucket=self._place.bucket, Key=self._key(key))

    def delete_all(self, prefix: str) -> None:
        """Delete everything below a prefix that ends with `/`."""
        if not prefix.endswith("/"):
            raise ValueError(f"not a folder: {prefix!r}")
        keys = [found["Key"] for found in self._found(prefix)]
        with typed_errors(f"removing {self._place.uri(prefix)}"):
            for start in range(0, len(keys), _PER_DELETE):
                batch = [{"Key": key} for key in keys[start : start + _PER_DELETE]]
                answer = self._s3.delete_objects(Bucket=self._place.bucket, Delete={"Objects": batch, "Quiet": True})
                if answer.get("Errors"):
                    raise ServiceUnavailable(f"removing {self._place.uri(prefix)}: {answer['Errors'][0]}")

    def uri(self, key: str) -> str:
        """Give the `s3://` address."""
        return self._place.uri(key)

    def _found(self, prefix: str) -> Iterator[dict[str, Any]]:
        with typed_errors(f"listing {self._place.uri(prefix)}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=self._key(prefix)
            )
            for page in pages:
                yield from page.get("Contents", [])

    def _was_written_by(self, key: str, writer: str) -> bool:
        """Tell whether what is there is one's own: the client repeats a put whose answer was lost on the way."""
        try:
            found = self._s3.head_object(Bucket=self._place.bucket, Key=self._key(key))
        except ClientError as error:
            if code_of(error) not in ("404", "NoSuchKey"):
                raise
            return False
        return bool(found["Metadata"].get(_WRITER) == writer)

    def _key(self, key: str) -> str:
        if ".." in key.split("/"):
            raise ValueError(f"not an object key: {key!r}")
        return self._place.key(key)

    @property
    def _s3(self) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._access.client("s3")
