"""AWS backends for tests: each test folder has its own folder in the bucket and its own databases."""

import hashlib
import os
from pathlib import Path

import boto3

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets_tests.emulators.athena.names import BUCKET, CREDENTIALS, REGION, WORKGROUP

__all__ = ["BUCKET"]


def athena_backend(endpoint: str, folder: Path) -> AthenaBackend:
    """Return the backend of a folder in the emulator; the same folder returns the same backend in every process."""
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
    """Return the name of a test folder's databases and of its folder in the bucket."""
    return f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


def make_bucket(endpoint: str) -> None:
    """Create the bucket of all tests."""
    os.environ.update(CREDENTIALS)
    boto3.client("s3", endpoint_url=endpoint, region_name=REGION).create_bucket(Bucket=BUCKET)
