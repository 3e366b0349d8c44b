"""`stock-assets aws` as users type it: the plan, the confirmation, and what is never shown."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.support.shell import Shell

# A deployment that a signal interrupts.
INTERRUPTED = """
import signal, sys
from stock_assets.cli import aws
from stock_assets.cli.interruption import interruptible
with interruptible(), aws._interruptible():
    signal.raise_signal(int(sys.argv[1]))
"""


@pytest.fixture
def shell(aws: AwsEmulator, tmp_path: Path) -> Shell:
    """Commands on the emulator of AWS; standard input is no terminal."""
    return Shell(tmp_path, STOCK_ASSETS_AWS_ENDPOINT_URL=aws.endpoint, STOCK_ASSETS_AWS_REGION=REGION)


def test_nothing_is_deployed_without_a_confirmation(shell: Shell, aws: AwsEmulator) -> None:
    done = shell.run_main("aws", "deploy", "--name", "unconfirmed", code=1)
    assert "1 S3 Bucket" in done.stdout
    assert "EC2: instance t4g.small" in done.stdout
    assert "18.20" in done.stdout
    assert "nobody can confirm. Add --yes" in done.stderr
    assert (
        "Nothing is deployed under the name unconfirmed"
        in shell.run("aws", "status", "--name", "unconfirmed", code=1).stdout
    )


def test_the_plan_of_fargate_with_a_load_balancer_has_its_costs(shell: Shell) -> None:
    balancer = ["--form", "fargate", "--parameter", "CertificateArn=arn:aws:acm:us-east-1:123456789012:certificate/1"]
    done = shell.run_main("aws", "deploy", *balancer, code=1)
    assert "Application Load Balancer" in done.stdout
    assert "81.68" in done.stdout


def test_a_region_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "Set --region or STOCK_ASSETS_AWS_REGION" in Shell(tmp_path).run_main("aws", "status", code=1).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source", "somebody"], "--source somebody: choose recorded or alpha_vantage"),
        (["--parameter", "Days"], "--parameter Days: write NAME=VALUE"),
        (["--setting", "STOCK_ASSETS_PLAN=free"], "--setting STOCK_ASSETS_PLAN: there is no such setting"),
        (["--setting", "STOCK_ASSETS_ALERT_WEBHOOK_URL=https://a"], "the value is a secret"),
        (["--setting", "STOCK_ASSETS_ALPHA_VANTAGE_PLAN=huge"], "Input should be 'free'"),
        (["--setting", "STOCK_ASSETS_CODE_URL=a b"], "only letters, digits"),
    ],
)
def test_an_invalid_option_is_explained(shell: Shell, options: list[str], message: str) -> None:
    assert message in shell.run_main("aws", "deploy", *options, code=2).stderr


def test_a_removal_of_nothing_succeeds(shell: Shell) -> None:
    assert (
        "Nothing is deployed under the name none in us-east-1." in shell.run("aws", "destroy", "--name", "none").stdout
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_deployment_states_what_goes_on(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(int(number))], check=False, capture_output=True, text=True
    )
    assert done.returncode == 128 + number
    assert " ".join(done.stderr.split()) == (
        "Interrupted. CloudFormation finishes the current stack; run the command again to continue."
    )
