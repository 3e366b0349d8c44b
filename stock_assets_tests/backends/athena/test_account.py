"""The contract suite on an account that the environment names; here the emulator is that account."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import BUCKET, CREDENTIALS, REGION
from stock_assets_tests.support.aws_account import (
    VARIABLES,
    Account,
    account_backend,
    main,
    missing_variables,
    named_account,
    runs,
)
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.table_rows import FIRST, publish

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def account(aws: AwsEmulator, tmp_path: Path) -> Account:
    """Folder and databases that only this test uses."""
    own = f"suite_{tmp_path.name}"[:40].lower()
    return Account(
        bucket=BUCKET,
        region=REGION,
        prefix=own,
        database=own,
        endpoint_url=aws.endpoint,
        run="r20000101t000000_00000a",
    )


def named(account: Account, **more: str) -> dict[str, str]:
    """Return an environment that names the account, but not the run."""
    fields = {**account.model_dump(exclude={"run"}), **more}
    variables = {f"{VARIABLES}{name.upper()}": value for name, value in fields.items()}
    return {**os.environ, **CREDENTIALS, **variables}


def suite(environment: dict[str, str], chosen: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the suite as `make test-aws` does."""
    command = [sys.executable, "-m", "pytest", "-m", "aws", "-p", "no:cacheprovider", "-k", chosen]
    return subprocess.run(
        [*command, "stock_assets_tests/contracts"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Return a function that runs the command with a given environment."""

    def run(environment: dict[str, str], *arguments: str) -> int:
        named_account.cache_clear()
        with monkeypatch.context() as inside:
            for name in set(os.environ) - set(environment):
                inside.delenv(name)
            for name, value in environment.items():
                inside.setenv(name, value)
            return main(list(arguments))

    yield run
    named_account.cache_clear()


def everything(aws: AwsEmulator, account: Account) -> list[str]:
    """Return what is left of any run: names of databases, keys of objects."""
    databases = [found["Name"] for found in aws.engine.glue.get_databases()["DatabaseList"]]
    return [*(name for name in databases if account.database in name), *account.objects.keys("")]


def publish_without_cleanup(account: Account, folder: Path) -> None:
    """Publish a row and remove nothing, as a killed run does."""
    backend = account_backend(account, folder)
    publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
    backend.objects.put("raw/a", b"body")


@pytest.mark.slow
def test_the_suite_runs_on_the_account_and_removes_everything(aws: AwsEmulator, account: Account) -> None:
    account.objects.put("kept/by somebody else", b"")
    done = suite(named(account), "TestFetchLedger or test_processes_that_meet or test_a_late_symbol")

    assert done.returncode == 0, done.stdout
    assert f"AWS: s3://{BUCKET}/{account.prefix}/r2" in done.stdout
    texts = "\n".join(aws.statements)
    assert f"LOCATION 's3://{BUCKET}/{account.prefix}/r2" in texts, "the suite ran on the account"
    assert everything(aws, account) == ["kept/by somebody else"]


@pytest.mark.slow
def test_a_failing_suite_removes_everything_too(aws: AwsEmulator, account: Account) -> None:
    done = suite(
        named(account, workgroup="nobodys"), "test_results_are_typed or test_a_stored_object_is_read_byte_for_byte"
    )

    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout or "1 passed, 1 error" in done.stdout
    assert "STOCK_ASSETS_AWS_WORKGROUP" in done.stdout
    assert everything(aws, account) == []


@pytest.mark.slow
def test_data_of_killed_runs_are_listed_and_removed_by_name(
    aws: AwsEmulator,
    account: Account,
    tmp_path: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = account.model_copy(update={"run": "r20000102t000000_00000b"})
    for one in (account, other):
        publish_without_cleanup(one, tmp_path)
    assert len([name for name in everything(aws, account) if account.run in name]) > 5
    assert runs(account) == [account.run, other.run]
    capsys.readouterr()

    assert command(named(account), "clean") == 0
    assert capsys.readouterr().out == f"{account.run}: left\n{other.run}: left\n"
    assert command(named(account), "clean", account.run) == 0
    assert capsys.readouterr().out == f"{account.run}: removed\n{other.run}: left\n"
    assert runs(account) == [other.run]
    assert command(named(account), "clean", account.run) == 2
    assert capsys.readouterr().err == f"Nothing is left of run {account.run}. Left: {other.run}\n"
    assert command(named(account), "clean", "all") == 0
    assert everything(aws, account) == []


def test_without_an_account_the_message_names_the_variables(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    assert command(environment, "check") == 2
    assert capsys.readouterr().err.startswith(f"Set {VARIABLES}BUCKET and {VARIABLES}REGION. docs/aws.md")
    assert missing_variables({f"{VARIABLES}BUCKET": "b"}) == [f"{VARIABLES}REGION"]


def test_an_unknown_variable_is_rejected(command: Callable[..., int]) -> None:
    environment = {**os.environ, **{f"{VARIABLES}{name}": "x" for name in ("BUCKET", "REGION", "ROLE")}}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        command(environment, "check")


def test_an_emulator_starts_with_an_empty_account_after_an_earlier_one_of_the_process() -> None:
    """The large benchmark measures several universes, each in an account of its own."""
    script = """
from benchmarks.aws import account
for _ in range(2):
    with account() as emulator:
        s3, glue = emulator.engine.s3, emulator.engine.glue
        print(s3.list_objects_v2(Bucket="benchmark")["KeyCount"], len(glue.get_databases()["DatabaseList"]))
        s3.put_object(Bucket="benchmark", Key="one", Body=b"")
        glue.create_database(DatabaseInput={"Name": "one"})
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.splitlines() == ["0 0", "0 0"]
