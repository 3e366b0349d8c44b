"""Fixtures every test may use."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets_tests.emulators.athena.server import AwsDouble, running_double
from stock_assets_tests.fakes.vendor_server import VendorServer, running
from stock_assets_tests.support.athena_backends import athena_backend, make_bucket
from stock_assets_tests.support.aws_account import Account, account_home, clean, named_account
from stock_assets_tests.support.recorded_backend import recorded_backend, recorded_bars
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.trino_backends import TrinoOnDouble
from stock_assets_tests.support.trino_server import NoTrino, running_trino

__all__ = ["recorded_backend", "recorded_bars"]  # fixtures, made where their parts are


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """A local backend in an empty folder."""
    return local_backend(tmp_path / "backend")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    """A server with real HTTP whose newest bar is of the newest closed session."""
    with running(VendorServer()) as started:
        yield started


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsDouble]:
    """The double of AWS, started by the first test that needs it."""
    with running_double() as double:
        make_bucket(double.endpoint)
        yield double


@pytest.fixture
def aws(aws_server: AwsDouble) -> Iterator[AwsDouble]:
    """The double of AWS, with an empty record; a test must leave no query running."""
    aws_server.forget()
    yield aws_server
    assert aws_server.running == []


@pytest.fixture(scope="session")
def trino_server(aws_server: AwsDouble) -> Iterator[str]:
    """A real Trino over the double's Glue and S3, started by the first test that needs it; its address."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running_trino(aws_server.endpoint))
        except NoTrino as error:
            pytest.skip(f"no Trino here: {error}")
        yield url


@pytest.fixture
def trino(trino_server: str, aws: AwsDouble) -> TrinoOnDouble:
    """The server, over a double with an empty record."""
    return TrinoOnDouble(trino_server, aws)


def pytest_configure() -> None:
    """Take interruptions, which a shell has switched off for what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str | None:
    """Say where a run on a real account writes, so that what it leaves if it is killed can be found."""
    account = named_account()
    return f"AWS: {account}" if account is not None else None


@pytest.fixture(scope="session")
def aws_account() -> Iterator[Account | None]:
    """The account that the environment names, if any; whatever the tests did, nothing is left in it."""
    account = named_account()
    yield account
    if account is not None:
        clean(account)


@pytest.fixture
def make_aws_home(request: pytest.FixtureRequest, aws_account: Account | None) -> Callable[[Path], Backend]:
    """Makes AWS backends below a folder: in the double, or in the account that the environment names (`make test-aws`)."""
    if aws_account is not None:
        return partial(account_home, aws_account)
    return partial(athena_backend, request.getfixturevalue("aws").endpoint)
