"""`stock-assets aws` with the templates of `infra/aws` on ministack: deploy, repeat, settings, status, destroy."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import copyfile
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from stock_assets.cli.app import app
from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment import lambda_zip, templates
from stock_assets.deployment.smoke import smoke_settings
from stock_assets.deployment.templates import Template, read_templates
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.keys import RAW_PRICES
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.infra.cloudformation import Stack
from stock_assets_tests.infra.deployed import Account, supported
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack, runtime_of_lambda

pytestmark = [
    pytest.mark.ministack,
    pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL),
]


VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def templates_for(endpoint: str, **function: str) -> dict[str, Template]:
    """Return the templates without the resources that the emulator cannot create.

    Args:
        endpoint: address of the emulator.
        function: variables of the Lambda function, which runs in a process of this machine's Python.
    """
    bodies = {name: yaml.safe_load(supported(Stack(name))) for name in read_templates()}
    properties = bodies["ingestion"]["Resources"]["Function"]["Properties"]
    properties["Runtime"] = f"python{VERSION}"
    properties["Environment"]["Variables"] |= {"STOCK_ASSETS_AWS_ENDPOINT_URL": endpoint, **function}
    return {name: Template(name, yaml.safe_dump(body, sort_keys=False), body) for name, body in bodies.items()}


class Commands:
    """`stock-assets aws` on an empty account of the emulator."""

    def __init__(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._endpoint = endpoint
        self.use(monkeypatch, templates_for(endpoint))
        for name, value in {
            **CREDENTIALS,
            "STOCK_ASSETS_AWS_ENDPOINT_URL": endpoint,
            "STOCK_ASSETS_AWS_REGION": REGION,
        }.items():
            monkeypatch.setenv(name, value)
        self.image = f"ImageId={Account(endpoint).put_image()}"

    def use(self, monkeypatch: pytest.MonkeyPatch, found: dict[str, Template]) -> None:
        monkeypatch.setattr(templates, "read_templates", lambda: found)

    def run(self, *words: str, code: int = 0, given: str = "") -> Result:
        done = CliRunner().invoke(app, ["aws", *words], input=given)
        assert done.exit_code == code, f"{done.output} {done.exception!r}"
        assert KEY not in done.output
        return done

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return boto3.Session().client(service, endpoint_url=self._endpoint, region_name=REGION)

    def settings(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.run("settings").stdout.splitlines())

    def resources(self, template: str) -> dict[str, str]:
        found = self.client("cloudformation").describe_stack_resources(StackName=f"stock-assets-{template}")
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    with running_ministack() as endpoint:
        yield Commands(endpoint, monkeypatch)


def test_one_command_deploys_and_one_removes(commands: Commands, tmp_path: Path) -> None:
    run = commands.run
    deploy = ["deploy", "--yes", "--alert-email", "desk@example.org", "--parameter", commands.image]
    # The emulator gives a new secret an empty value, and AWS none.
    first = run(*deploy, "--new-key", given=f"{KEY}\n").stdout
    assert "The API key is stored." in first
    assert "The Dagster UI: aws ssm start-session" in first
    assert "Alerts: desk@example.org" in first
    again = run(*deploy).stdout
    assert again.count(": nothing changes") == 3
    assert "restarting" not in again
    assert run("status").stdout.count("CREATE_COMPLETE") == 3

    settings, s3 = commands.settings(), commands.client("s3")
    bucket = settings["STOCK_ASSETS_AWS_BUCKET"]
    stored = s3.get_object(Bucket=bucket, Key="artifacts/settings.env")["Body"].read().decode()
    assert dict(line.split("=", 1) for line in stored.splitlines()) == settings
    # As docs/deploy.md writes them into a shell.
    run("settings", "--file", str(tmp_path / "settings.env"))
    shell = subprocess.run(
        ["bash", "-c", "set -a; . ./settings.env; set +a; env -0"],  # noqa: S607 (the user's shell)
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert settings.items() <= dict(pair.split("=", 1) for pair in shell.split("\0") if pair).items()
    secret = settings["STOCK_ASSETS_AWS_API_KEY_SECRET"]
    assert commands.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"] == KEY
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


def test_the_added_function_requests_the_prices_of_the_asset_and_is_removed(
    commands: Commands, server: VendorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "built.zip"
    lambda_zip.build(built, python=VERSION, platform=f"manylinux2014_{platform.machine()}")
    monkeypatch.setattr(lambda_zip, "build", partial(copyfile, built))
    variables = {
        "PYTHONPATH": str(runtime_of_lambda(tmp_path / "runtime")),
        "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL": server.url,
    }
    commands.use(monkeypatch, templates_for(os.environ["STOCK_ASSETS_AWS_ENDPOINT_URL"], **variables))
    deploy = ["deploy", "--yes", "--parameter", commands.image]
    commands.run(*deploy, "--new-key", given=f"{KEY}\n")
    assert "STOCK_ASSETS_AWS_LAMBDA_FUNCTION" not in commands.settings()

    commands.run(*deploy, "--add", "ingestion", "--parameter", "Plan=premium_1200")
    settings, s3 = commands.settings(), commands.client("s3")
    bucket, messages = settings["STOCK_ASSETS_AWS_BUCKET"], settings["STOCK_ASSETS_AWS_PIPES_BUCKET"]
    [zipped] = s3.list_objects_v2(Bucket=bucket, Prefix="artifacts/lambda-")["Contents"]
    body = s3.get_object(Bucket=bucket, Key=zipped["Key"])["Body"].read()
    assert zipped["Key"] == f"artifacts/lambda-{sha256(body).hexdigest()[:32]}.zip"
    assert len(body) < lambda_zip.LARGEST_BYTES
    # What was added once is updated without the option, and the same file is not uploaded again.
    assert commands.run(*deploy).stdout.count(": nothing changes") == 4
    assert s3.list_objects_v2(Bucket=bucket, Prefix="artifacts/lambda-")["Contents"] == [zipped]

    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STOCK_ASSETS_FIRST_SESSION", str(server.last_session - timedelta(days=30)))
    done = (
        build_definitions(Settings.from_env())
        .resolve_job_def(JOB_NAME)
        .execute_in_process(
            partition_key=str(server.last_session),
            run_config={"ops": {"raw__daily_prices": {"config": {"request_symbols": ["NVDA", "AMD"]}}}},
            asset_selection=[RAW_PRICES],
        )
    )
    [event] = done.asset_materializations_for_node("raw__daily_prices")
    assert event.metadata["calls"].value == 2
    raw = s3.list_objects_v2(Bucket=bucket, Prefix="stock_assets/alpha_vantage/raw/daily_prices/")["Contents"]
    assert {entry["Key"].rsplit("/")[-1] for entry in raw} == {"NVDA.csv", "AMD.csv"}
    assert s3.list_objects_v2(Bucket=messages)["KeyCount"] > 0, "the function was not invoked"

    function = settings["STOCK_ASSETS_AWS_LAMBDA_FUNCTION"]
    assert commands.client("lambda").get_function(FunctionName=function)
    assert f"emptying the bucket {messages}" in commands.run("destroy", "--yes").stdout
    with pytest.raises(ClientError, match="ResourceNotFound"):
        commands.client("lambda").get_function(FunctionName=function)
    assert [found["Name"] for found in s3.list_buckets()["Buckets"]] == [bucket]


def test_fargate_is_deployed_upgraded_and_removed(commands: Commands) -> None:
    def image(digest: str) -> list[str]:
        name = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/stock-assets@sha256:{digest * 64}"
        return ["--parameter", f"Image={name}"]

    missing = commands.run("deploy", "--yes", "--form", "fargate", code=1)
    assert "The template fargate needs a value for Image" in str(missing.exception)
    assert "Nothing is deployed" in commands.run("status", code=1).stdout
    new = ["--form", "fargate", "--new-key", *image("a")]
    first = commands.run("deploy", "--yes", *new, given=f"{KEY}\n").stdout
    ecs, resources = commands.client("ecs"), commands.resources("fargate")
    # The alarm for the storage of the database is added when the database exists.
    assert first.index("stock-assets-fargate: CREATE_COMPLETE") < first.index(
        "DatabaseStorage (AWS::CloudWatch::Alarm)"
    )
    [alarm] = [
        found
        for found in commands.client("cloudwatch").describe_alarms()["MetricAlarms"]
        if found["MetricName"] == "FreeStorageSpace"
    ]
    assert alarm["Dimensions"] == [{"Name": "DBInstanceIdentifier", "Value": resources["Database"]}]
    services = [resources["WebserverService"], resources["DaemonService"]]

    def images() -> set[str]:
        found = ecs.describe_services(cluster=services[0].split("/")[-2], services=services)["services"]
        tasks = [ecs.describe_task_definition(taskDefinition=one["taskDefinition"]) for one in found]
        return {one["taskDefinition"]["containerDefinitions"][0]["image"][-1] for one in tasks}

    assert images() == {"a"}
    # Without an option it stays what it is.
    again = commands.run("deploy", "--yes").stdout
    assert again.count(": nothing changes") == 4
    assert "restarting" not in again
    assert "57." in again

    upgraded = commands.run("deploy", "--yes", *image("b")).stdout
    assert images() == {"b"}
    assert "restarting" not in upgraded, "CloudFormation has replaced the tasks"
    changed = commands.run("deploy", "--yes", "--parameter", "Prefix=other").stdout
    assert changed.count("restarting arn:aws:ecs") == 2
    assert images() == {"b"}
    assert commands.run("deploy", "--yes").stdout.count(": nothing changes") == 4
    assert commands.settings()["STOCK_ASSETS_AWS_PREFIX"] == "other"
    with pytest.raises(DeploymentFailed, match=r"has the form fargate\. A second daemon would start each run twice"):
        raise commands.run("deploy", "--yes", "--form", "single", code=1).exception  # type: ignore[misc]  # not None
    commands.run("destroy", "--yes")
    assert ecs.list_clusters()["clusterArns"] == []


def test_a_template_that_is_too_long_is_sent_without_comments() -> None:
    template = next(iter(read_templates().values()))
    longer = replace(template, text=template.text + "# a comment\n" * 5000)
    assert len(longer.body.encode()) < 51_200
    assert yaml.safe_load(longer.body) == template.content
