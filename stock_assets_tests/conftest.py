"""Fixtures every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_assets.homes.interfaces import Home
from stock_assets_tests.support.path import local_home
from stock_assets_tests.support.recorded_home import recorded_bars, recorded_home
from stock_assets_tests.support.vendor_server import VendorServer, running

__all__ = ["recorded_bars", "recorded_home"]  # fixtures, made where their parts are


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A local home in an empty folder."""
    return local_home(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    """A server with real HTTP whose newest bar is of the newest closed session."""
    with running(VendorServer()) as started:
        yield started
