"""docs/deploy.md from an empty account to the first published session and to the removal, on the Athena emulator.

The templates are those of `infra/aws`; moto creates their resources, as far as it knows them.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from stock_assets.cli.app import app
from stock_assets.deployment import artifacts, templates
from stock_assets.deployment.templates import Template, read_templates
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.infra.cloudformation import Stack
from stock_assets_tests.infra.deployed import LEFT_OUT, supported
from stock_assets_tests.support.deployments import one_instance

NOT_BY_MOTO = {
    *LEFT_OUT, "AWS::Athena::WorkGroup", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy",
}  # fmt: skip
"""Types that moto's CloudFormation does not know, and policies: it rejects conditional statements."""
SESSIONS = "2013-02-28 2013-03-01"


def for_moto(node: Any) -> Any:  # noqa: ANN401 (YAML)
    """Return a template without what its conditions omit for the recorded sample: moto writes `None` there."""
    if isinstance(node, dict):
        return {key: for_moto(inner) for key, inner in node.items()}
    if isinstance(node, list):
        omitted = {"Ref": "AWS::NoValue"}
        return [for_moto(one) for one in node if not (isinstance(one, dict) and omitted in one.get("Fn::If", []))]
    return node


def add_universes(run: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Add two universes to the deployment, as docs/universes.md describes, and publish sessions of each."""
    symbols = {"banks": "AAPL", "energy": "MSFT"}
    for name, symbol in symbols.items():
        Path(f"{name}.csv").write_text(f"symbol,name,first_session,last_session\n{symbol},,,\n", encoding="utf-8")
    deployed = run(f"aws deploy --yes --region {REGION} --universe banks.csv --universe energy.csv")
    assert "Universes: default, banks, energy" in deployed
    assert "Universes: default, banks, energy" in run("aws status")
    for line in run(f"aws settings --region {REGION}").splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    # The option sets it; it is restored after the test.
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE_NAME", "")
    for name in symbols:
        run(f"--universe {name} backfill {SESSIONS}")
    for name, symbol in symbols.items():
        counted = run(f"--universe {name} query --csv 'SELECT DISTINCT symbol FROM published.daily_prices'")
        assert counted.split() == ['"symbol"', f'"{symbol}"']
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE_NAME", "")
    monkeypatch.delenv("STOCK_ASSETS_AWS_UNIVERSES")


@pytest.mark.slow
def test_an_empty_account_becomes_a_pipeline_with_published_sessions_and_is_removed(
    aws: AwsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {**CREDENTIALS, "STOCK_ASSETS_AWS_ENDPOINT_URL": aws.endpoint}.items():
        monkeypatch.setenv(name, value)
    bodies = {name: for_moto(yaml.safe_load(supported(Stack(name), NOT_BY_MOTO))) for name in read_templates()}
    known = {name: Template(name, yaml.safe_dump(body, sort_keys=False), body) for name, body in bodies.items()}
    monkeypatch.setattr(templates, "read_templates", lambda: known)
    # moto cannot delete the network; ministack does, in `test_end_to_end`.
    known["single"] = one_instance("single", "ami-12c6146b")
    # What moto does not create has this name in the other resources.
    boto3.Session().client("athena", region_name=REGION, endpoint_url=aws.endpoint).create_work_group(
        Name="queryworkgroup-0"
    )
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-1-py3-none-any.whl", b"wheel"))

    def run(command: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, shlex.split(command))
        assert done.exit_code == code, f"{command}: {done.output} {done.exception!r}"
        return done.stdout

    deploy = f"aws deploy --yes --region {REGION} --source recorded --alert-email you@example.com"
    assert "Deployed." in run(deploy)
    assert "USD. The test data are removed." in run(f"aws smoke --region {REGION}")
    run(f"aws settings --region {REGION} --file settings.env")
    settings = dict(line.split("=", 1) for line in Path("settings.env").read_text(encoding="utf-8").splitlines())
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STOCK_ASSETS_FIRST_SESSION", "2013-02-01")
    run(f"backfill {SESSIONS}")
    published = run("summary")
    assert "2013-03-01" in published
    assert "CREATE_COMPLETE" in run("aws status")
    add_universes(run, monkeypatch)
    assert run("summary") == published

    kept = run("aws destroy --yes")
    assert f"s3://{settings['STOCK_ASSETS_AWS_BUCKET']}" in kept
    for name in settings.keys() & os.environ.keys():
        monkeypatch.delenv(name)
    assert "stock_assets_recorded_banks_published" in kept
    [again] = [line for line in kept.splitlines() if "ExistingBucket=" in line]
    run(f"{deploy} {again.partition('stock-assets aws deploy ')[2]}")
    for line in run(f"aws settings --region {REGION}").splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    assert run("summary") == published
    run("aws destroy --yes")
