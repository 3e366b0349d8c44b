"""Digests of staging tables: stored ones must stay comparable."""

import hashlib
import json
from pathlib import Path

from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.athena_backends import athena_backend


def test_the_digest_of_staging_tables_is_that_of_earlier_releases(aws: AwsEmulator, tmp_path: Path) -> None:
    """It hashes keys with the path of the folder; another text would make every staged load a changed one."""
    backend = athena_backend(aws.endpoint, tmp_path)
    key = f"{backend.prefix}/staged/tables/load_1/file"
    etag = S3Objects(backend.access, BucketFolder(backend.bucket, "")).put_version(key, b"rows", etag=None)

    with backend.warehouse.connect("load_1") as sql:
        digest = sql.digests().staging
    assert digest == hashlib.sha256(json.dumps([[], [[key, etag]]]).encode()).hexdigest()
