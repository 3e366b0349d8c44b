"""`stock-assets aws` with the templates of `infra/aws` on ministack: deploy, repeat, settings, status, destroy."""

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
import yaml
from typer.testing import CliRunner, Result

from stock_assets.cli.app import app
from stock_assets.deployment import templates
from stock_assets.deployment.smoke import smoke_settings
from stock_assets.deployment.templates import Template, read_templates
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.infra.cloudformation import Stack
from stock_assets_tests.infra.deployed import Account, supported
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

pytestmark = [
    pytest.mark.ministack,
    pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_ministack() as address:
        yield address


def without_unsupported_resources() -> dict[str, Template]:
    """Return the templates without the resources that the emulator cannot create."""
    texts = {name: supported(Stack(name)) for name in read_templates()}
    return {name: Template(name, text, yaml.safe_load(text)) for name, text in texts.items()}


def test_one_command_deploys_and_one_removes(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = without_unsupported_resources()
    monkeypatch.setattr(templates, "read_templates", lambda: small)
    environment = {
        **CREDENTIALS,
        "STOCK_ASSETS_AWS_ENDPOINT_URL": endpoint,
        "STOCK_ASSETS_AWS_REGION": REGION,
    }
    image = f"ImageId={Account(endpoint).put_image()}"

    def run(*words: str, code: int = 0, given: str = "") -> Result:
        done = CliRunner().invoke(app, ["aws", *words], input=given, env=environment)
        assert done.exit_code == code, f"{done.output} {done.exception!r}"
        assert KEY not in done.output
        return done

    deploy = ["deploy", "--yes", "--alert-email", "desk@example.org", "--parameter", image]
    # The emulator gives a new secret an empty value, and AWS none.
    first = run(*deploy, "--new-key", given=f"{KEY}\n").stdout
    assert "The API key is stored." in first
    assert "The Dagster UI: aws ssm start-session" in first
    assert "Alerts: desk@example.org" in first
    again = run(*deploy).stdout
    assert again.count(": nothing changes") == 3
    assert "restarting" not in again
    assert run("status").stdout.count("CREATE_COMPLETE") == 3

    settings = dict(line.split("=", 1) for line in run("settings").stdout.splitlines())
    s3, bucket = boto3.client("s3", endpoint_url=endpoint, region_name=REGION), settings["STOCK_ASSETS_AWS_BUCKET"]
    stored = s3.get_object(Bucket=bucket, Key="artifacts/settings.env")["Body"].read().decode()
    assert dict(line.split("=", 1) for line in stored.splitlines()) == settings
    secrets = boto3.client("secretsmanager", endpoint_url=endpoint, region_name=REGION)
    secret = settings["STOCK_ASSETS_AWS_API_KEY_SECRET"]
    assert secrets.get_secret_value(SecretId=secret)["SecretString"] == KEY
    own = smoke_settings(settings, Settings(), SourceName.RECORDED)
    assert own.aws_prefix == "stock_assets/alpha_vantage/smoke"
    assert own.aws_workgroup == settings["STOCK_ASSETS_AWS_WORKGROUP"]

    gone = run("destroy", "--yes").stdout
    assert f"aws s3 rb --force s3://{bucket}" in gone
    assert f"ExistingBucket={bucket}" in gone
    assert "Nothing is deployed" in run("status", code=1).stdout
    assert s3.head_object(Bucket=bucket, Key="artifacts/settings.env")
    reused = run(*deploy, "--parameter", f"ExistingBucket={bucket}", given=f"{KEY}\n").stdout
    assert "stock-assets-single: CREATE_COMPLETE" in reused
    run("destroy", "--yes")


def test_a_template_that_is_too_long_is_sent_without_comments() -> None:
    template = next(iter(read_templates().values()))
    longer = replace(template, text=template.text + "# a comment\n" * 5000)
    assert len(longer.body.encode()) < 51_200
    assert yaml.safe_load(longer.body) == template.content
