"""Fixtures of the ingestion tests: the vendor's look-alike, and a client of it."""

from collections.abc import Iterator

import pytest

from stock_assets_tests.support.vendor_server import VendorServer, running


@pytest.fixture
def server() -> Iterator[VendorServer]:
    """A server with real HTTP whose newest bar is of the newest closed session."""
    with running(VendorServer()) as started:
        yield started
