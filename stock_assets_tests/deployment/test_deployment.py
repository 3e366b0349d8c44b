"""A deployment as a whole: created, repeated, interrupted, failed, updated and removed, on two emulators."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from botocore.exceptions import ClientError

from stock_assets.core.errors import DeploymentFailed, SettingsError
from stock_assets.deployment import artifacts, lambda_zip, processes
from stock_assets.deployment.artifacts import SETTINGS_KEY, settings_text
from stock_assets.deployment.costs import BALANCER
from stock_assets.deployment.forms import Form
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import CREDENTIALS
from stock_assets_tests.support.deployments import SELECTED, Account, data, function, one_instance, queue, template
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

on_ministack = [pytest.mark.ministack, pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL)]


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    with running_ministack() as endpoint:
        yield endpoint


@pytest.fixture(params=["moto", pytest.param("ministack", marks=on_ministack)])
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-1-py3-none-any.whl", b"wheel"))
    if request.param == "moto":
        server: AwsEmulator = request.getfixturevalue("aws")
        return Account(server.endpoint)
    return Account(request.getfixturevalue("ministack"))


def stored(account: Account) -> dict[str, bytes]:
    s3 = account.client("s3")
    listed = s3.list_objects_v2(Bucket=account.bucket).get("Contents", [])
    return {entry["Key"]: s3.get_object(Bucket=account.bucket, Key=entry["Key"])["Body"].read() for entry in listed}


def test_the_stacks_are_created_in_order_with_the_outputs_of_earlier_ones(account: Account) -> None:
    known = account.deploy()
    assert account.statuses() == dict.fromkeys(SELECTED, "CREATE_COMPLETE")
    assert known["Bucket"] == account.bucket
    assert known["SingleQueue"] == f"{account.name}-single"
    created = [line.split(":")[0] for line in account.lines if line.endswith(f": {'CREATE_COMPLETE'}")]
    assert created == [f"{account.name}-{name}" for name in SELECTED]
    monitoring = account.deployment.deployed()["monitoring"]
    assert monitoring.parameters["AlertTopicArn"] == known["AlertTopicArn"]


def test_package_lock_and_settings_are_in_the_bucket(account: Account) -> None:
    account.deploy()
    found = stored(account)
    assert found["artifacts/package/stock_assets-1-py3-none-any.whl"] == b"wheel"
    assert b"dagster-postgres==" in found["artifacts/package/requirements.lock"]
    assert found[SETTINGS_KEY] == b"STOCK_ASSETS_BACKEND=aws\nSTOCK_ASSETS_SOURCE=recorded\n"
    assert account.deployment.settings() == {"STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_SOURCE": "recorded"}


def test_settings_of_the_user_are_kept_until_they_are_removed(account: Account) -> None:
    plan, days = "STOCK_ASSETS_ALPHA_VANTAGE_PLAN", "STOCK_ASSETS_RUN_RETENTION_DAYS"
    account.deploy(SELECTED, {plan: "premium_75", days: "30"})
    account.deploy()
    expected = {plan: "premium_75", days: "30", "STOCK_ASSETS_BACKEND": "aws", "STOCK_ASSETS_SOURCE": "recorded"}
    assert account.deployment.settings() == expected
    assert stored(account)[SETTINGS_KEY].decode() == settings_text(expected)
    account.deploy(SELECTED, {days: ""})
    assert account.deployment.settings().keys() == expected.keys() - {days}
    assert days.encode() not in stored(account)[SETTINGS_KEY]
    with pytest.raises(
        DeploymentFailed, match=r"STOCK_ASSETS_SOURCE is set by the template data\. Change it with --par"
    ):
        account.deploy(SELECTED, {"STOCK_ASSETS_SOURCE": "recorded"})


BANKS, ENERGY = (f"symbol,name,first_session,last_session\n{symbol},,,\n".encode() for symbol in ("JPM", "XOM"))
UNIVERSES = "STOCK_ASSETS_AWS_UNIVERSES"


def test_universes_are_uploaded_and_kept_until_their_names_are_removed(account: Account) -> None:
    account.deploy(SELECTED, None, {"banks": BANKS})
    account.deploy(SELECTED, None, {"energy": ENERGY})
    assert account.deployment.settings()[UNIVERSES] == "banks,energy"
    files = {key: body for key, body in stored(account).items() if "universes" in key}
    assert files == {"artifacts/universes/banks.csv": BANKS, "artifacts/universes/energy.csv": ENERGY}
    account.deploy(SELECTED, {UNIVERSES: "energy"})
    assert f"{UNIVERSES}=energy\n".encode() in stored(account)[SETTINGS_KEY]
    with pytest.raises(
        DeploymentFailed, match=r"The universe tech has no file in the bucket\. Add --universe tech\.csv"
    ):
        account.deploy(SELECTED, {UNIVERSES: "default,tech"})
    assert account.deployment.settings()[UNIVERSES] == "energy"


def test_the_universe_of_a_running_deployment_stays_when_others_are_added(account: Account) -> None:
    account.deploy()
    account.deploy(SELECTED, None, {"banks": BANKS})
    assert account.deployment.settings()[UNIVERSES] == "default,banks"


def test_universes_that_need_more_calls_than_the_plan_allows_change_nothing(account: Account) -> None:
    lines = "".join(f"S{number},,,\n" for number in range(25))
    many = f"symbol,name,first_session,last_session\n{lines}".encode()
    with pytest.raises(SettingsError, match=r"25 symbols, but the plan allows 25 calls per day"):
        account.deploy(SELECTED, None, {"many": many}, Source="alpha_vantage")
    assert "artifacts/universes/many.csv" not in stored(account)
    account.deploy(SELECTED, {"STOCK_ASSETS_ALPHA_VANTAGE_PLAN": "premium_75"}, {"many": many}, Source="alpha_vantage")
    assert account.deployment.settings()[UNIVERSES] == "many"


def test_the_plan_of_the_vendor_reaches_the_function(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    content = function("ingestion").content
    parameters = {**content["Parameters"], "Plan": {"Type": "String", "Default": "free"}}
    account.changed["ingestion"] = template("ingestion", {**content, "Parameters": parameters})
    monkeypatch.setattr(lambda_zip, "build", zipped("def handler(event, context): return 1"))
    account.deploy(WITH_FUNCTION, {"STOCK_ASSETS_ALPHA_VANTAGE_PLAN": "premium_75"})
    assert account.deployment.deployed()["ingestion"].parameters["Plan"] == "premium_75"


def test_a_repetition_changes_nothing(account: Account) -> None:
    account.deploy()
    account.lines.clear()
    account.deploy()
    assert account.lines == [f"{account.name}-{name}: nothing changes" for name in SELECTED]
    assert account.statuses() == dict.fromkeys(SELECTED, "CREATE_COMPLETE")


def test_a_new_version_replaces_the_wheel(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deploy()
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-2-py3-none-any.whl", b"newer"))
    account.deploy()
    assert [key for key in stored(account) if key.endswith(".whl")] == [
        "artifacts/package/stock_assets-2-py3-none-any.whl"
    ]


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"])
def test_an_interrupted_deployment_continues(account: Account, status: str) -> None:
    stack = f"{account.name}-monitoring"
    account.interrupt_at = f"{stack}: {stack} {status}" if status == "CREATE_IN_PROGRESS" else f"{stack}: {status}"
    with pytest.raises(KeyboardInterrupt):
        account.deploy()
    assert "single" not in account.statuses()
    account.interrupt_at = ""
    account.deploy()
    assert account.statuses() == dict.fromkeys(SELECTED, "CREATE_COMPLETE")


def test_a_missing_parameter_is_named_before_anything_is_created(account: Account) -> None:
    declared = {"Needed": {"Type": "String", "Description": "of somebody"}}
    account.changed["data"] = template("data", {**data(account.bucket).content, "Parameters": declared})
    with pytest.raises(DeploymentFailed, match=r"data needs a value for Needed \(of somebody\). Add --parameter"):
        account.deployment.deploy(["data"], {}, None)  # type: ignore[arg-type]  # no step is reached
    account.changed = {"single": queue("single", parameters=declared, queue_name=f"{account.name}-single")}
    with pytest.raises(DeploymentFailed, match="single needs a value for Needed"):
        account.deploy()
    assert account.statuses() == {}


def test_an_unknown_parameter_is_named_with_the_known_ones(account: Account) -> None:
    with pytest.raises(DeploymentFailed, match=r"parameter Sauce\. Available: AlertTopicArn, Bucket, Prefix, Source"):
        account.deploy(Sauce="recorded")
    assert account.statuses() == {}


def test_a_value_for_one_template_does_not_reach_the_others(account: Account) -> None:
    declared = {"Days": {"Type": "String", "Default": "7"}}
    for name in ("monitoring", "single"):
        account.changed[name] = queue(name, parameters=declared, queue_name=f"{account.name}-{name}")
    account.deploy(**{"single.Days": "30"})
    stacks = account.deployment.deployed()
    assert [stacks[name].parameters["Days"] for name in ("monitoring", "single")] == ["7", "30"]


def test_a_value_that_was_given_once_is_kept(account: Account) -> None:
    declared = {"Days": {"Type": "String", "Default": "7"}}
    account.changed["single"] = queue("single", parameters=declared, queue_name=f"{account.name}-single")
    account.deploy(Days="30")
    account.deploy()
    assert account.deployment.deployed()["single"].parameters["Days"] == "30"


def test_an_update_that_removes_a_resource_is_accepted_first(account: Account) -> None:
    account.deploy()
    content = account.deployment.templates["monitoring"].content
    other = {"Other": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{account.name}-other"}}}
    account.changed["monitoring"] = template("monitoring", {**content, "Resources": other, "Outputs": {}})
    account.accepted = False
    with pytest.raises(DeploymentFailed, match=r"monitoring was not accepted\. Nothing of it has changed"):
        account.deploy()
    assert account.deployment.stacks.resources(account.deployment.deployed()["monitoring"]).keys() == {"Queue"}
    account.accepted = True
    account.deploy()
    assert account.deployment.stacks.resources(account.deployment.deployed()["monitoring"]).keys() == {"Other"}


def test_a_removal_keeps_the_bucket_and_names_it(account: Account) -> None:
    account.deploy()
    kept = account.deployment.kept()
    assert [(item.what, item.command) for item in kept] == [
        (f"S3 Bucket {account.bucket}", f"aws s3 rb --force s3://{account.bucket}")
    ]
    account.deployment.destroy()
    assert account.statuses() == {}
    deleted = [line.split(":")[0] for line in account.lines if line.endswith(": DELETE_COMPLETE")]
    assert [name for name in deleted if name.startswith(account.name)][-3:] == [
        f"{account.name}-{name}" for name in reversed(SELECTED)
    ]
    assert stored(account)
    account.deployment.destroy()


def test_settings_of_nothing_are_an_error(account: Account) -> None:
    with pytest.raises(
        DeploymentFailed, match=f"There is no stack {account.name}-data in us-east-1. Run `stock-assets aws"
    ):
        account.deployment.settings()


def zipped(code: str) -> Callable[[Path], int]:
    """Return what builds a zip file with a function, instead of the package's own."""

    def build(target: Path) -> int:
        with ZipFile(target, "w") as file:
            file.writestr(ZipInfo("function.py"), code)
        return target.stat().st_size

    return build


WITH_FUNCTION = ["data", "ingestion", "monitoring", "single"]


def test_the_zip_file_of_the_function_is_uploaded_once_per_content(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.changed["ingestion"] = function("ingestion")
    monkeypatch.setattr(lambda_zip, "build", zipped("def handler(event, context): return 1"))
    known = account.deploy(WITH_FUNCTION)
    functions = account.client("lambda")

    def files() -> dict[str, Any]:
        listed = account.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="artifacts/lambda-")["Contents"]
        return {entry["Key"]: entry["LastModified"] for entry in listed}

    [first] = before = files()
    assert sha256(stored(account)[first]).hexdigest()[:32] in first
    code = functions.get_function(FunctionName=known["FunctionName"])["Configuration"]["CodeSha256"]
    assert account.deployment.settings()["STOCK_ASSETS_AWS_LAMBDA_FUNCTION"] == known["FunctionName"]
    assert known["FunctionName"].encode() in stored(account)[SETTINGS_KEY]

    account.deploy(WITH_FUNCTION)
    assert files() == before
    assert account.deployment.deployed()["ingestion"].status == "CREATE_COMPLETE"

    monkeypatch.setattr(lambda_zip, "build", zipped("def handler(event, context): return 2"))
    account.deploy(WITH_FUNCTION)
    assert len(files()) == 2
    again = account.deployment.deployed()["ingestion"]
    assert again.parameters["CodeKey"] in files().keys() - {first}
    newer = functions.get_function(FunctionName=again.outputs["FunctionName"])["Configuration"]["CodeSha256"]
    assert newer != code

    own = {"Bucket": account.bucket, "Key": "artifacts/own.zip"}
    account.client("s3").copy_object(CopySource={"Bucket": account.bucket, "Key": first}, **own)
    account.deploy(WITH_FUNCTION, CodeKey="artifacts/own.zip")
    assert account.deployment.deployed()["ingestion"].parameters["CodeKey"] == "artifacts/own.zip"
    assert len(files()) == 2

    account.client("s3").put_object(Bucket=known["PipesBucket"], Key="left", Body=b"")
    account.deployment.destroy()
    assert account.statuses() == {}
    with pytest.raises(ClientError, match="ResourceNotFound"):
        functions.get_function(FunctionName=known["FunctionName"])


@pytest.fixture
def instances(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A deployment of one instance on moto; ministack's groups have no instances."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-1-py3-none-any.whl", b"wheel"))
    made = Account(aws.endpoint)
    made.changed["single"] = one_instance("single", "ami-12c6146b")  # one that moto has
    made.deploy()
    made.lines.clear()
    return made


@pytest.fixture
def rebooted(instances: Account) -> Iterator[list[str]]:
    """The instances that are rebooted, in the order of the calls."""
    found: list[str] = []
    events = instances.deployment.access.client("ec2").meta.events

    def note(params: dict[str, Any], **_: object) -> None:
        found.append(params["body"]["InstanceId.1"])

    events.register("before-call.ec2.RebootInstances", note)
    yield found
    events.unregister("before-call.ec2.RebootInstances", note)


def running(account: Account) -> str:
    [group] = account.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[account.deployment.deployed()["single"].outputs["GroupName"]]
    )["AutoScalingGroups"]
    [one] = group["Instances"]
    return str(one["InstanceId"])


def test_each_new_version_restarts_the_instance_once_and_keeps_it(
    instances: Account, rebooted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_SET_UP", timedelta(0))
    instance = running(instances)
    instances.deploy()
    assert rebooted == []
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-2-py3-none-any.whl", b"newer"))
    instances.deploy()
    assert rebooted == [instance]
    instances.deploy()
    assert rebooted == [instance]

    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-3-py3-none-any.whl", b"newest"))
    instances.interrupt_at = f"restarting {instance}: package or settings have changed"
    with pytest.raises(KeyboardInterrupt):
        instances.deploy()
    assert rebooted == [instance]
    instances.interrupt_at = ""
    instances.deploy()
    assert rebooted == [instance, instance], "the interrupted deployment is continued"
    assert running(instances) == instance


def test_an_instance_that_is_still_being_set_up_is_replaced(
    instances: Account, rebooted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = running(instances)
    monkeypatch.setattr(artifacts, "build_wheel", lambda: ("stock_assets-2-py3-none-any.whl", b"newer"))
    instances.deploy()
    assert running(instances) != instance
    assert rebooted == []


def test_the_deployed_form_is_the_default_and_another_one_is_rejected(account: Account) -> None:
    assert account.deployment.form(None) is Form.SINGLE
    assert account.deployment.form(Form.FARGATE) is Form.FARGATE
    account.deploy()
    assert account.deployment.form(None) is Form.SINGLE
    with pytest.raises(DeploymentFailed, match=f"delete-stack --stack-name {account.name}-single"):
        account.deployment.form(Form.FARGATE)


def test_a_load_balancer_that_was_added_once_stays_in_the_costs(account: Account) -> None:
    declared = {"CertificateArn": {"Type": "String", "Default": ""}}
    account.changed["fargate"] = queue("fargate", parameters=declared, queue_name=f"{account.name}-fargate")
    selected = ["data", "monitoring", "fargate"]
    assert account.deployment.paid(selected, {}) == selected
    account.deploy(selected, CertificateArn="arn:of:a:certificate")
    assert account.deployment.paid(selected, {}) == [*selected, BALANCER]
    assert account.deployment.paid(["data"], {}) == ["data"]
    assert account.deployment.paid(selected, {"CertificateArn": ""}) == selected
