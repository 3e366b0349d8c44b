"""The key from Secrets Manager: read when a run asks, sent to the vendor, found nowhere else; each no is typed."""

import json
import logging
import re
from pathlib import Path

import boto3
import pytest
from pydantic import HttpUrl

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.core.errors import AccessRefused, ServiceUnavailable, SettingsError, StockAssetsError
from stock_assets.orchestration.build import build_definitions
from stock_assets.pipeline import Pipeline
from stock_assets.sources.api_key import SecretsManagerKey
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.orchestration.checks.test_symbols import live_settings
from stock_assets_tests.sources.test_redaction import everything_logged, keep_all_of, leaks, run
from stock_assets_tests.support.live_source import KEY

__all__ = ["everything_logged"]  # a fixture

NAME = "ALPHAVANTAGE_API_KEY"


@pytest.fixture
def vault(aws: AwsEmulator, request: pytest.FixtureRequest) -> SecretsManagerKey:
    """Names a secret of the test's own that is not there yet."""
    name = re.sub(r"\W", "-", request.node.name)
    return SecretsManagerKey(AwsAccess(region=REGION, endpoint_url=aws.endpoint), name)


def keep(vault: SecretsManagerKey, text: str) -> None:
    secrets = boto3.client("secretsmanager", region_name=REGION, endpoint_url=vault.access.endpoint_url)
    secrets.create_secret(Name=vault.secret_id, SecretString=text)


@pytest.mark.parametrize(
    "text", [KEY, f"  {KEY}\n", json.dumps({NAME: KEY}), json.dumps({"other": "x", NAME: f"{KEY} "})]
)
def test_the_text_is_the_key_or_holds_it(vault: SecretsManagerKey, text: str) -> None:
    keep(vault, text)
    assert vault.read() == KEY


def test_a_secret_that_is_not_there(vault: SecretsManagerKey) -> None:
    with pytest.raises(SettingsError, match=rf"no secret {vault.secret_id} in {REGION}.*AWS_API_KEY_SECRET"):
        vault.read()


@pytest.mark.parametrize(
    "text",
    [
        f'{{"{NAME}": "{KEY}"',
        json.dumps({"another_name": KEY}),
        json.dumps({NAME: {"nested": KEY}}),
        json.dumps({NAME: ""}),
    ],
    ids=["no JSON", "another name", "no text", "empty"],
)
def test_a_secret_without_a_key_is_refused_and_not_shown(
    vault: SecretsManagerKey, tmp_path: Path, everything_logged: Path, text: str
) -> None:
    keep(vault, text)
    everything_logged.write_text("")
    with pytest.raises(SettingsError, match=rf"{vault.secret_id} holds no key.*JSON object with {NAME}") as raised:
        vault.read()
    keep_all_of(raised.value, tmp_path / "error.txt")
    assert leaks(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AccessDeniedException", 400, AccessRefused),
        ("ExpiredTokenException", 400, AccessRefused),
        ("ThrottlingException", 400, ServiceUnavailable),
        ("InternalServiceError", 500, StockAssetsError),
    ],
)
def test_other_refusals_are_typed_and_name_the_secret(
    vault: SecretsManagerKey, aws: AwsEmulator, code: str, status: int, expected: type[StockAssetsError]
) -> None:
    keep(vault, KEY)
    aws.call_faults.append(CallFault("secretsmanager.GetSecretValue", status, code, times=1000))
    with pytest.raises(expected, match=rf"reading the secret {vault.secret_id}.*{code}"):
        vault.read()


def test_others_may_log_their_answers_while_a_secret_is_read(vault: SecretsManagerKey, everything_logged: Path) -> None:
    """What is kept from the log is the one answer, for no longer than it takes."""
    keep(vault, KEY)
    vault.read()
    logging.getLogger("botocore.parsers").debug("an answer of somebody else")
    assert "an answer of somebody else" in everything_logged.read_text()


def test_a_run_takes_the_key_from_the_secret_and_leaves_it_nowhere(
    vault: SecretsManagerKey,
    server: VendorServer,
    tmp_path: Path,
    everything_logged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    keep(vault, json.dumps({NAME: KEY}))
    everything_logged.write_text("")  # the test's own call said what it kept
    universe = tmp_path / "one.csv"
    universe.write_text("symbol,name,first_session,last_session\nNVDA,N,,\n", encoding="utf-8")
    settings = live_settings(
        server,
        tmp_path,
        universe=universe,
        aws_region=REGION,
        aws_api_key_secret=vault.secret_id,
        aws_endpoint_url=HttpUrl(str(vault.access.endpoint_url)),
    )
    source = Pipeline.from_settings(settings).source

    done = run(settings, server)

    assert done.success, done.failures
    assert {request.key for request in server.requests} == {KEY}
    shown = [repr(source), str(source), repr(build_definitions(settings)), repr(done)]
    (tmp_path / "shown.txt").write_text("\n".join([*shown, *capfd.readouterr()]), encoding="utf-8")
    assert leaks(tmp_path) == []
    assert "GetSecretValue" in everything_logged.read_text()


def test_a_run_whose_secret_is_not_there_fails_and_says_what_to_do(
    vault: SecretsManagerKey, server: VendorServer, tmp_path: Path
) -> None:
    settings = live_settings(
        server,
        tmp_path,
        aws_region=REGION,
        aws_api_key_secret=vault.secret_id,
        aws_endpoint_url=HttpUrl(str(vault.access.endpoint_url)),
    )
    failed = run(settings, server)
    assert not failed.success
    assert f"there is no secret {vault.secret_id}" in " ".join(failed.failures), failed
    assert server.requests == []
