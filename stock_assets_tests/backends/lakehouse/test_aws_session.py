"""Credentials for AWS: those that boto3 finds, or a role that is renewed before it expires; errors are typed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from pydantic import HttpUrl

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.lakehouse import aws_session
from stock_assets.backends.lakehouse.aws_session import REQUESTS_AT_ONCE, AwsAccess
from stock_assets.core.errors import AccessRefused, AlertUndelivered, ServiceUnavailable, SettingsError
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest import landing_files
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.services import alert_channels
from stock_assets.settings import Settings, SourceName
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION, ROLE
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.incidents import AT, INCIDENT

FOUND = CREDENTIALS["AWS_ACCESS_KEY_ID"]


@pytest.fixture(autouse=True)
def new_sessions() -> Iterator[None]:
    """Clear the cached sessions and clients of the process before and after each test."""
    for kept in (aws_session._session, aws_session._client):  # noqa: SLF001 (the caches have no other handle)
        kept.cache_clear()
    yield
    for kept in (aws_session._session, aws_session._client):  # noqa: SLF001
        kept.cache_clear()


@pytest.fixture
def backend(tmp_path: Path, aws: AwsEmulator) -> AthenaBackend:
    made = athena_backend(aws.endpoint, tmp_path / "backend")
    return replace(made, role_arn=ROLE)


def access_keys(aws: AwsEmulator, service: str) -> set[str]:
    """Return the access keys that signed the calls of a service."""
    return {call.access_key for call in aws.calls if call.service == service}


def assumed_roles(aws: AwsEmulator) -> int:
    """Count how often a role was assumed."""
    return sum(call.service == "sts" for call in aws.calls)


def test_without_a_role_the_found_credentials_sign_every_call(aws: AwsEmulator, tmp_path: Path) -> None:
    athena_backend(aws.endpoint, tmp_path / "backend").objects.put("raw/a", b"body")

    assert (assumed_roles(aws), access_keys(aws, "s3")) == (0, {FOUND})


def test_a_client_has_a_connection_for_each_thread() -> None:
    """Otherwise urllib3 opens, and closes, a connection for a request, and logs a warning."""
    threads = max(REQUESTS_AT_ONCE, landing_files._THREADS)  # noqa: SLF001 (each thread reads)
    assert AwsAccess(region=REGION).client("s3").meta.config.max_pool_connections >= threads


def test_the_role_is_assumed_once_and_signs_every_other_call(aws: AwsEmulator, backend: AthenaBackend) -> None:
    backend.objects.put("raw/a", b"body")
    assert backend.objects.get("raw/a") == b"body"
    assert backend.warehouse.staged_loads() == []
    backend.warehouse.drop_staging("load_1")

    assert (assumed_roles(aws), access_keys(aws, "sts")) == (1, {FOUND})
    for service in ("s3", "glue"):
        [key] = access_keys(aws, service)
        assert key not in ("", FOUND)


def test_secrets_and_topics_are_called_with_the_role_too(aws: AwsEmulator, backend: AthenaBackend) -> None:
    """Built from settings, as in a run."""
    settings = Settings(
        source=SourceName.ALPHA_VANTAGE,
        aws_region=REGION,
        aws_role_arn=ROLE,
        aws_endpoint_url=HttpUrl(aws.endpoint),
        aws_api_key_secret="prices/role",  # noqa: S106 (a name)
        alert_topic_arn=f"arn:aws:sns:{REGION}:123456789012:none",
    )
    source = Pipeline.from_settings(settings).source
    assert isinstance(source, AlphaVantageSource)
    with pytest.raises(SettingsError, match="no secret prices/role"):
        source.read_key()
    with pytest.raises(AlertUndelivered, match="NotFound"):
        alert_channels(settings)[-1].send(INCIDENT.message(AT))

    for service in ("secretsmanager", "sns"):
        [key] = access_keys(aws, service)
        assert key not in ("", FOUND)


@pytest.mark.slow
def test_statements_and_table_files_use_the_role_too(aws: AwsEmulator, backend: AthenaBackend) -> None:
    """PyAthena gets the session; pyiceberg cannot, and gets the current credentials of the role."""
    with backend.warehouse.connect("load_1") as sql:
        sql.query("SELECT 1 AS one")
    [role] = access_keys(aws, "athena")
    assert role not in ("", FOUND)

    aws.calls.clear()
    # Another object, because a backend reads each metadata file once.
    assert replace(backend).warehouse.history(DAILY_PRICES) == []

    read = [call for call in aws.calls if call.service == "s3" and ".metadata.json" in call.request]
    [role] = {call.access_key for call in read}
    assert role not in ("", FOUND)


def test_the_role_is_assumed_again_before_it_expires(aws: AwsEmulator, backend: AthenaBackend) -> None:
    backend.objects.put("raw/a", b"body")
    first = access_keys(aws, "s3")

    # A role lasts one hour; botocore renews it ten minutes before the end.
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=51)):
        backend.objects.get("raw/a")
        backend.objects.get("raw/a")

    assert assumed_roles(aws) == 2
    assert len(access_keys(aws, "s3") - first) == 1


def test_a_role_that_may_not_be_assumed_raises_access_refused(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.call_faults.append(
        CallFault("sts", 403, "AccessDenied", f"not authorized to perform: sts:AssumeRole on {ROLE}")
    )

    with pytest.raises(AccessRefused, match=rf"layout\.json.*AssumeRole operation.*{ROLE}.*docs/aws.md") as raised:
        backend.objects.put("raw/a", b"body")

    assert not raised.value.transient
    assert access_keys(aws, "s3") == set()


def test_expired_credentials_of_the_assuming_user_raise_access_refused(
    aws: AwsEmulator, backend: AthenaBackend
) -> None:
    aws.call_faults.append(CallFault("sts", 403, "ExpiredToken"))
    with pytest.raises(AccessRefused, match=r"ExpiredToken.*renew the credentials"):
        backend.objects.keys("raw/")


def test_a_busy_token_service_is_a_transient_error(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.call_faults.append(CallFault("sts", 503, "ServiceUnavailable", times=1000))
    with pytest.raises(ServiceUnavailable, match="AssumeRole"):
        backend.objects.keys("raw/")


@pytest.mark.parametrize("role_arn", ["", ROLE], ids=["no role", "a role"])
def test_missing_credentials_name_the_remedy(
    aws: AwsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role_arn: str
) -> None:
    made = athena_backend(aws.endpoint, tmp_path / "backend")
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(AccessRefused, match="set credentials where boto3 looks for them"):
        replace(made, role_arn=role_arn).objects.keys("raw/")
