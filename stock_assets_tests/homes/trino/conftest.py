"""Homes that several modules read."""

import pytest

from stock_assets.build import build_universe
from stock_assets.homes.interfaces import Home
from stock_assets.ingest.recorded import FIRST_SESSION, LAST_SESSION, RecordedSource
from stock_assets.settings import Settings
from stock_assets_tests.support.aws_double import AwsDouble
from stock_assets_tests.support.path import load_range, local_home
from stock_assets_tests.support.trino_homes import trino_home


@pytest.fixture(scope="session")
def recorded_twice(
    tmp_path_factory: pytest.TempPathFactory, trino_server: str, aws_server: AwsDouble
) -> tuple[Home, Home]:
    """All 13 recorded years, published on DuckDB and on Trino; to be read only."""
    folder = tmp_path_factory.mktemp("recorded_twice") / "home"
    homes = local_home(folder), trino_home(trino_server, aws_server.endpoint, folder)
    for home in homes:
        load_range(home, RecordedSource(), build_universe(Settings()), FIRST_SESSION, LAST_SESSION)
    return homes
