"""Fixtures every test may use."""

from pathlib import Path

import pytest

from stock_assets.homes.interfaces import Home
from stock_assets_tests.support.path import local_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A local home in an empty folder."""
    return local_home(tmp_path / "home")
