"""Fixtures every test may use."""

import gc
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import duckdb
import pytest
from botocore.retries.standard import ExponentialBackoff

from stock_assets.backends.interface import Backend
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.fakes.vendor_server import VendorServer, running
from stock_assets_tests.support.athena_backends import athena_backend, make_bucket
from stock_assets_tests.support.aws_account import Account, account_backend, clean, named_account
from stock_assets_tests.support.backend_cases import BackendCase
from stock_assets_tests.support.dagster_internals import set_defs_state_storage
from stock_assets_tests.support.ledger_cache import own_ledger_cache
from stock_assets_tests.support.postgres import postgres, postgres_server
from stock_assets_tests.support.process_costs import (
    cache_migration_scripts,
    collect_garbage_of_tests,
    collect_no_garbage,
)
from stock_assets_tests.support.published_week import published_week, restored
from stock_assets_tests.support.recorded_backend import recorded_backend, recorded_bars
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.trino_backends import TrinoOnEmulator
from stock_assets_tests.support.trino_server import NoTrino, running_trino

# A developer's `.env` must not change tests, nor those of the processes that they start.
os.environ["STOCK_ASSETS_ENV_FILE"] = os.devnull

__all__ = [  # fixtures, made where their parts are
    "postgres",
    "postgres_server",
    "published_week",
    "recorded_backend",
    "recorded_bars",
    "restored",
]


@pytest.fixture(autouse=True)
def no_storage_of_an_earlier_instance() -> Iterator[None]:
    """Let Dagster forget the instances of earlier tests, which it would ask for the state of definitions."""
    with set_defs_state_storage(None):
        yield


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """A local backend in an empty folder."""
    return local_backend(tmp_path / "backend")


@pytest.fixture
def reopened(case: BackendCase, tmp_path: Path) -> Callable[[], Backend]:
    """Return a function that constructs the backend of `case` again, as another process would."""
    return lambda: case.make(tmp_path / "backend")


@pytest.fixture
def server() -> Iterator[VendorServer]:
    """A server with real HTTP whose newest bar is of the newest closed session."""
    with running(VendorServer()) as started:
        yield started


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsEmulator]:
    """The AWS emulator, started by the first test that needs it; botocore repeats calls without its delays."""
    from stock_assets_tests.emulators.athena.server import running_emulator  # noqa: PLC0415 (moto takes 1.5 s of CPU)

    with own_ledger_cache(), running_emulator() as emulator, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)
        make_bucket(emulator.endpoint)
        yield emulator


@pytest.fixture
def aws(aws_server: AwsEmulator) -> Iterator[AwsEmulator]:
    """The AWS emulator with an empty record; a test must leave no query running."""
    aws_server.forget()
    yield aws_server
    assert aws_server.running == []


@pytest.fixture(scope="session")
def trino_server(aws_server: AwsEmulator) -> Iterator[str]:
    """Address of a real Trino server over the emulator's Glue and S3, started by the first test that needs it."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(running_trino(aws_server.endpoint))
        except NoTrino as error:
            pytest.skip(f"Trino cannot be started: {error}")
        yield url


@pytest.fixture
def trino(trino_server: str, aws: AwsEmulator) -> TrinoOnEmulator:
    """The Trino server, over the AWS emulator with an empty record."""
    return TrinoOnEmulator(trino_server, aws)


def pytest_configure() -> None:
    """Limit DuckDB's threads, if asked: two threads use 10% more CPU time for a small load, and each core has a worker.

    Take interruptions, which a shell has switched off for what it runs in the background.
    """
    collect_no_garbage()
    cache_migration_scripts()
    if threads := os.environ.get("STOCK_ASSETS_TEST_DUCKDB_THREADS"):
        duckdb.connect = partial(_connect, int(threads), duckdb.connect)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Collect the garbage of tests only. Each process calls this after collection, also the one that has workers."""
    collect_garbage_of_tests()


def pytest_unconfigure() -> None:
    """Let the interpreter free the modules at its exit: DuckDB prints what it could not free."""
    gc.unfreeze()


def _connect(
    threads: int,
    connect: Callable[..., duckdb.DuckDBPyConnection],
    database: str = ":memory:",
    *,
    config: Mapping[str, object] | None = None,
    **options: object,
) -> duckdb.DuckDBPyConnection:
    return connect(database, config={**(config or {}), "threads": threads}, **options)


def pytest_report_header() -> str | None:
    """Print where a run on a real account writes, so that the data of a killed run can be found."""
    account = named_account()
    return f"AWS: {account}" if account is not None else None


@pytest.fixture(scope="session")
def aws_account() -> Iterator[Account | None]:
    """The account that the environment names, or None; everything of this run is removed from it at the end."""
    account = named_account()
    yield account
    if account is not None:
        clean(account)


@pytest.fixture
def make_aws_backend(request: pytest.FixtureRequest, aws_account: Account | None) -> Callable[[Path], Backend]:
    """Return AWS backends: in the emulator, or in the account that the environment names (`make test-aws`)."""
    if aws_account is not None:
        return partial(account_backend, aws_account)
    return partial(athena_backend, request.getfixturevalue("aws").endpoint)
