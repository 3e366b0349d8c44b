"""AWS backends for tests: each folder of a test has a place of its own in the bucket, and databases of its own."""

import hashlib
import os
from pathlib import Path

import boto3

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets_tests.emulators.athena.names import BUCKET, CREDENTIALS, REGION, WORKGROUP

__all__ = ["BUCKET"]


def athena_backend(endpoint: str, folder: Path) -> AthenaBackend:
    """Give the backend of a folder in the double of AWS; the same folder gives the same backend, in every process."""
    os.environ.update(CREDENTIALS)
    stem = stem_of(folder)
    return AthenaBackend(
        bucket=BUCKET,
        prefix=f"tests/{stem}",
        region=REGION,
        database=stem,
        workgroup=WORKGROUP,
        results=f"s3://{BUCKET}/tests/{stem}/results/",
        endpoint_url=endpoint,
        poll_seconds=0.02,
    )


def stem_of(folder: Path) -> str:
    """Name the databases and the part of the bucket that are a folder's own."""
    return f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


def make_bucket(endpoint: str) -> None:
    """Make the bucket of all tests."""
    os.environ.update(CREDENTIALS)
    boto3.client("s3", endpoint_url=endpoint, region_name=REGION).create_bucket(Bucket=BUCKET)
