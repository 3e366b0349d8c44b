"""The API key in Secrets Manager: read when a request needs it, sent to the vendor, written nowhere else."""

import json
import logging
import re
from pathlib import Path

import boto3
import pytest
from pydantic import HttpUrl

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.secret import SecretsManagerKey
from stock_assets.core.errors import AccessRefused, ServiceUnavailable, SettingsError, StockAssetsError
from stock_assets.orchestration.build import build_definitions
from stock_assets.pipeline import Pipeline
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.key_leaks import everything_logged, leaks, run_daily_prices, write_error
from stock_assets_tests.support.live_source import KEY, live_settings

__all__ = ["everything_logged"]  # a fixture

NAME = "ALPHAVANTAGE_API_KEY"


@pytest.fixture
def vault(aws: AwsEmulator, request: pytest.FixtureRequest) -> SecretsManagerKey:
    """Name a secret of this test alone, which does not exist yet."""
    name = re.sub(r"\W", "-", request.node.name)
    return SecretsManagerKey(AwsAccess(region=REGION, endpoint_url=aws.endpoint), name, NAME)


def create_secret(vault: SecretsManagerKey, text: str) -> None:
    secrets = boto3.client("secretsmanager", region_name=REGION, endpoint_url=vault.access.endpoint_url)
    secrets.create_secret(Name=vault.secret_id, SecretString=text)


@pytest.mark.parametrize(
    "text", [KEY, f"  {KEY}\n", json.dumps({NAME: KEY}), json.dumps({"other": "x", NAME: f"{KEY} "})]
)
def test_the_secret_is_the_key_or_a_json_object_with_the_key(vault: SecretsManagerKey, text: str) -> None:
    create_secret(vault, text)
    assert vault.read() == KEY


def test_the_error_of_a_missing_secret_names_secret_region_and_setting(vault: SecretsManagerKey) -> None:
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
def test_the_error_of_a_secret_without_a_key_does_not_show_the_secret(
    vault: SecretsManagerKey, tmp_path: Path, everything_logged: Path, text: str
) -> None:
    create_secret(vault, text)
    everything_logged.write_text("")
    with pytest.raises(
        SettingsError, match=rf"{vault.secret_id} contains no API key.*JSON object with {NAME}"
    ) as raised:
        vault.read()
    write_error(raised.value, tmp_path / "error.txt")
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
def test_other_errors_are_typed_and_name_the_secret(
    vault: SecretsManagerKey, aws: AwsEmulator, code: str, status: int, expected: type[StockAssetsError]
) -> None:
    create_secret(vault, KEY)
    aws.call_faults.append(CallFault("secretsmanager.GetSecretValue", status, code, times=1000))
    with pytest.raises(expected, match=rf"reading the secret {vault.secret_id}.*{code}"):
        vault.read()


def test_only_the_response_with_the_secret_is_kept_out_of_the_log(
    vault: SecretsManagerKey, everything_logged: Path
) -> None:
    create_secret(vault, KEY)
    vault.read()
    logging.getLogger("botocore.parsers").debug("another response")
    assert "another response" in everything_logged.read_text()


def test_a_run_reads_the_key_from_the_secret_and_writes_it_nowhere(
    vault: SecretsManagerKey,
    server: VendorServer,
    tmp_path: Path,
    everything_logged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    create_secret(vault, json.dumps({NAME: KEY}))
    everything_logged.write_text("")  # the call that created the secret logged the key
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

    done = run_daily_prices(settings, server)

    assert done.success, done.failures
    assert {request.key for request in server.requests} == {KEY}
    shown = [repr(source), str(source), repr(build_definitions(settings)), repr(done)]
    (tmp_path / "shown.txt").write_text("\n".join([*shown, *capfd.readouterr()]), encoding="utf-8")
    assert leaks(tmp_path) == []
    assert "GetSecretValue" in everything_logged.read_text()


def test_a_run_without_its_secret_fails_with_the_remedy(
    vault: SecretsManagerKey, server: VendorServer, tmp_path: Path
) -> None:
    settings = live_settings(
        server,
        tmp_path,
        aws_region=REGION,
        aws_api_key_secret=vault.secret_id,
        aws_endpoint_url=HttpUrl(str(vault.access.endpoint_url)),
    )
    failed = run_daily_prices(settings, server)
    assert not failed.success
    assert f"There is no secret {vault.secret_id}" in " ".join(failed.failures), failed
    assert server.requests == []
