"""Backends that several test modules read."""

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION, RecordedSource
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.steps import load_range, local_backend
from stock_assets_tests.support.trino_backends import trino_backend


@pytest.fixture(scope="session")
def recorded_twice(
    tmp_path_factory: pytest.TempPathFactory, trino_server: str, aws_server: AwsEmulator
) -> tuple[Backend, Backend]:
    """All 13 recorded years, published on DuckDB and on Trino; tests only read them."""
    folder = tmp_path_factory.mktemp("recorded_twice") / "backend"
    backends = local_backend(folder), trino_backend(trino_server, aws_server.endpoint, folder)
    for backend in backends:
        load_range(backend, RecordedSource(), Pipeline.from_settings(Settings()).universe, FIRST_SESSION, LAST_SESSION)
    return backends
