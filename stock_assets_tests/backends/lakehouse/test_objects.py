"""Objects in S3: the condition and encryption of each put, and the typed errors of rejected calls."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.errors import ServiceRefused, ServiceUnavailable
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend

KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def backend(tmp_path: Path, aws: AwsEmulator) -> AthenaBackend:
    return athena_backend(aws.endpoint, tmp_path / "backend")


def stored(backend: AthenaBackend, key: str) -> dict[str, object]:
    """Return the metadata of an object in S3."""
    response: dict[str, object] = backend.access.client("s3").head_object(Bucket=BUCKET, Key=f"{backend.prefix}/{key}")
    return response


def test_objects_are_encrypted_with_the_keys_of_s3(backend: AthenaBackend) -> None:
    backend.objects.put("raw/a", b"body")
    assert stored(backend, "raw/a")["ServerSideEncryption"] == "AES256"


def test_objects_are_encrypted_with_the_configured_kms_key(backend: AthenaBackend, aws: AwsEmulator) -> None:
    with_key = replace(backend, kms_key=KMS_KEY)
    aws.calls.clear()
    with_key.objects.put("raw/a", b"body")

    puts = [call for call in aws.calls if call.request.startswith("PUT")]
    assert len(puts) == 2, "the layout object, then the object itself"
    for put in puts:
        sent = {
            name.lower(): value for name, value in put.headers.items() if "ENCRYPTION" in name or "NONE_MATCH" in name
        }
        assert sent == {
            "http_if_none_match": "*",
            "http_x_amz_server_side_encryption": "aws:kms",
            "http_x_amz_server_side_encryption_aws_kms_key_id": KMS_KEY,
        }
    assert stored(backend, "raw/a")["SSEKMSKeyId"] == KMS_KEY


def test_ledger_and_quota_objects_are_encrypted_too(backend: AthenaBackend) -> None:
    """They use the same S3Objects; this package has no other way to put an object."""
    s3 = backend.access.client("s3")
    backend.rate_limiter.block_until("a vendor", datetime.now(UTC))
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{backend.prefix}/")["Contents"]
    assert len(found) == 2, "the layout object and the calls of the vendor"
    for entry in found:
        assert s3.head_object(Bucket=BUCKET, Key=entry["Key"])["ServerSideEncryption"] == "AES256"


def test_a_put_with_an_etag_replaces_only_that_version(backend: AthenaBackend) -> None:
    objects = S3Objects(backend.access, BucketFolder(backend.bucket, backend.prefix))
    assert objects.put_if("a", b"1", etag=None)
    _, first = objects.get_version("a")
    assert objects.put_if("a", b"2", etag=first)
    assert not objects.put_if("a", b"3", etag=first)
    assert not objects.put_if("never there", b"1", etag=first)
    assert objects.get("a") == b"2"


@pytest.mark.parametrize("times", [1, 3])
def test_a_conflicting_conditional_put_is_retried(backend: AthenaBackend, aws: AwsEmulator, times: int) -> None:
    fault = CallFault(f"PUT /{BUCKET}", 409, "ConditionalRequestConflict", times=times)
    aws.call_faults.append(fault)

    backend.objects.put("raw/a", b"body")

    assert (fault.times, backend.objects.get("raw/a")) == (0, b"body")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_slow_down_of_s3_is_retried(backend: AthenaBackend, aws: AwsEmulator, method: str) -> None:
    backend.objects.put("raw/b", b"body")
    fault = CallFault(f"{method} /{BUCKET}", 503, "SlowDown", times=2)
    aws.call_faults.append(fault)

    backend.objects.put("raw/a", b"body")
    assert backend.objects.keys("raw/") == ["raw/a", "raw/b"]
    assert backend.objects.get("raw/a") == b"body"
    backend.objects.delete("raw/a")

    assert fault.times == 0
    assert backend.objects.keys("raw/") == ["raw/b"]


def test_endless_slow_down_of_s3_is_a_transient_error(backend: AthenaBackend, aws: AwsEmulator) -> None:
    aws.call_faults.append(CallFault(f"GET /{BUCKET}", 503, "SlowDown", times=1000))
    impatient = S3Objects(
        backend.access.model_copy(update={"attempts": 2}), BucketFolder(backend.bucket, backend.prefix)
    )

    with pytest.raises(ServiceUnavailable, match="SlowDown") as raised:
        impatient.keys("raw/")

    assert raised.value.transient


def test_a_missing_bucket_is_a_permanent_error(backend: AthenaBackend) -> None:
    elsewhere = S3Objects(backend.access, BucketFolder("nobodys-bucket", ""))
    with pytest.raises(ServiceRefused, match=r"s3://nobodys-bucket/raw/a.*NoSuchBucket") as raised:
        elsewhere.put("raw/a", b"")
    assert not raised.value.transient


def test_a_folder_is_emptied_and_its_neighbours_stay(backend: AthenaBackend) -> None:
    inside, beside = (S3Objects(backend.access, BucketFolder(BUCKET, f"{backend.prefix}/{name}")) for name in "ab")
    for objects in (inside, beside):
        objects.put("one", b"1")
        objects.put("two/three", b"3")
    inside.empty()
    assert inside.keys("") == []
    assert beside.keys("") == ["one", "two/three"]


def test_a_bucket_that_does_not_exist_is_empty_and_a_denied_one_is_an_error(
    backend: AthenaBackend, aws: AwsEmulator
) -> None:
    S3Objects(backend.access, BucketFolder("no-such-bucket", "")).empty()
    aws.call_faults.append(CallFault(f"GET /{BUCKET}", 400, "InvalidRequest", times=1))
    with pytest.raises(ServiceRefused, match=rf"listing s3://{BUCKET}/.*InvalidRequest"):
        S3Objects(backend.access, BucketFolder(BUCKET, backend.prefix)).empty()
