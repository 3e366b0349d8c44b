"""Homes on the tests' Trino server; each folder of a test has a place of its own in the bucket, and databases."""

import os
from dataclasses import dataclass
from pathlib import Path

from stock_assets.homes.trino import TrinoHome
from stock_assets_tests.support.aws_double import CREDENTIALS, REGION, AwsDouble
from stock_assets_tests.support.aws_homes import BUCKET, stem_of
from stock_assets_tests.support.trino_server import CATALOG

USER = "tests"


@dataclass(frozen=True)
class TrinoOnDouble:
    """A running server, and the emulator that holds its tables."""

    url: str
    double: AwsDouble

    def home(self, folder: Path) -> TrinoHome:
        """Give the home of a folder."""
        return trino_home(self.url, self.double.endpoint, folder)


def trino_home(url: str, endpoint: str, folder: Path) -> TrinoHome:
    """Give the home of a folder on a server; the same folder gives the same home, in every process."""
    os.environ.update(CREDENTIALS)
    stem = stem_of(folder)
    return TrinoHome(
        bucket=BUCKET,
        prefix=f"tests/{stem}",
        region=REGION,
        database=stem,
        endpoint_url=endpoint,
        url=url,
        user=USER,
        catalog=CATALOG,
    )
