"""Backends on the tests' Trino server; each test folder has its own folder in the bucket and its own databases."""

import os
from dataclasses import dataclass
from pathlib import Path

from stock_assets.backends.trino.backend import TrinoBackend
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.support.athena_backends import BUCKET, stem_of
from stock_assets_tests.support.trino_server import CATALOG

USER = "tests"


@dataclass(frozen=True)
class TrinoOnEmulator:
    """A running Trino server, and the emulator that stores its tables."""

    url: str
    emulator: AwsEmulator

    def backend(self, folder: Path) -> TrinoBackend:
        """Return the backend of a folder."""
        return trino_backend(self.url, self.emulator.endpoint, folder)


def trino_backend(url: str, endpoint: str, folder: Path) -> TrinoBackend:
    """Return the backend of a folder on a server; the same folder returns the same backend in every process."""
    os.environ.update(CREDENTIALS)
    stem = stem_of(folder)
    return TrinoBackend(
        bucket=BUCKET,
        prefix=f"tests/{stem}",
        region=REGION,
        database=stem,
        endpoint_url=endpoint,
        url=url,
        user=USER,
        catalog=CATALOG,
    )
