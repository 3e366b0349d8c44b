"""Stacks that failed or were never created: the next deployment continues with them. On ministack; moto has neither."""

from collections.abc import Iterator

import pytest

from stock_assets.core.errors import DeploymentFailed
from stock_assets.deployment import artifacts
from stock_assets_tests.emulators.athena.names import CREDENTIALS
from stock_assets_tests.support.deployments import SELECTED, Account, data, template
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

pytestmark = [
    pytest.mark.ministack,
    pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_ministack() as address:
        yield address


@pytest.fixture
def account(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-1-py3-none-any.whl", b"wheel"))
    return Account(endpoint)


def test_a_failed_stack_reports_the_reason_and_the_next_attempt_replaces_it(account: Account) -> None:
    content = account.deployment.templates["monitoring"].content
    broken = {
        **content["Resources"],
        "Broken": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{account.name}-broken.fifo"}},
    }
    account.changed["monitoring"] = template("monitoring", {**content, "Resources": broken})
    with pytest.raises(DeploymentFailed) as failed:
        account.deploy()
    message = str(failed.value)
    assert "monitoring" in message
    assert "Broken (AWS::SQS::Queue): " in message
    assert account.statuses()["monitoring"] == "ROLLBACK_COMPLETE"
    account.changed.clear()
    account.deploy()
    assert account.statuses() == dict.fromkeys(SELECTED, "CREATE_COMPLETE")


def test_a_change_set_that_was_never_executed_is_no_obstacle(account: Account) -> None:
    account.client("cloudformation").create_change_set(
        StackName=f"{account.name}-data",
        ChangeSetName="left",
        ChangeSetType="CREATE",
        TemplateBody=data(account.bucket).body,
        Parameters=[{"ParameterKey": "Source", "ParameterValue": "recorded"}],
    )
    assert account.statuses() == {"data": "REVIEW_IN_PROGRESS"}
    account.deploy()
    assert account.statuses() == dict.fromkeys(SELECTED, "CREATE_COMPLETE")
