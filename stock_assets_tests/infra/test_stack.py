"""The CloudFormation template: valid, consistent with documentation and settings, and sufficient for the backend.

It is deployed on ministack, whose IAM denies what no policy allows. Only AWS can test the checks of Athena and Glue.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from pydantic import HttpUrl

from stock_assets.alerts.channels import SnsTopic
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.glue import Glue, external_parquet
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import AccessRefused, AlertUndelivered, Outcome
from stock_assets.pipeline import Pipeline
from stock_assets.settings import BackendName, Settings, SourceName
from stock_assets.sources.api_key import SecretsManagerKey
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.support.incidents import AT, INCIDENT
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

PROJECT = Path(__file__).parents[2]
TEMPLATE = PROJECT / "infra" / "aws" / "stack.yaml"
STACK: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
GIVEN = {
    "BucketName": "prices-of-somebody",
    "KmsKeyArn": KMS_KEY,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": "123456789012",
}
NAMED = {"Bucket": "BucketName", "QueryWorkgroup": "Workgroup"}
"""Resources whose `Ref` is the value of a parameter."""


def resolved(node: Any, given: dict[str, str]) -> Any:  # noqa: ANN401, PLR0911 (YAML, and a function for each return)
    """Resolve the functions of the template; a part that a condition omits becomes None."""
    values = {name: str(parameter.get("Default", "")) for name, parameter in STACK["Parameters"].items()} | given
    conditions = {"IsLive": values["Source"] == "alpha_vantage", "HasKey": values["KmsKeyArn"] != ""}

    def ref(name: str) -> str:
        return values.get(NAMED.get(name, name), f"<{name}>")

    match node:
        case {"Ref": "AWS::NoValue"}:
            return None
        case {"Ref": str(name)}:
            return ref(name)
        case {"Fn::GetAtt": [name, attribute]}:
            return ref(f"{name}.{attribute}")
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: ref(found.group(1)), text)
        case {"Fn::If": [name, then, otherwise]}:
            return resolved(then if conditions[name] else otherwise, given)
        case {"Fn::Join": [between, parts]}:
            return between.join(part for part in resolved(parts, given))
        case dict():
            return {name: value for name, inner in node.items() if (value := resolved(inner, given)) is not None}
        case list():
            return [value for inner in node if (value := resolved(inner, given)) is not None]
        case _:
            return node


def properties(name: str, **more: str) -> Any:  # noqa: ANN401 (YAML)
    """Return the properties of a resource."""
    return resolved(STACK["Resources"][name]["Properties"], GIVEN | more)


def variables(**more: str) -> dict[str, str]:
    """Return the variables that the outputs of the stack name."""
    text = resolved(STACK["Outputs"]["Settings"]["Value"], GIVEN | more)
    return dict(pair.split("=", 1) for pair in text.split(" "))


def test_the_template_is_valid() -> None:
    lint = [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)]
    found = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_policy_allows_the_documented_actions() -> None:
    text = (PROJECT / "docs" / "aws.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    for placeholder, value in {
        "BUCKET": GIVEN["BucketName"],
        "PREFIX": "stock_assets",
        "REGION": REGION,
        "ACCOUNT": GIVEN["AWS::AccountId"],
        "DATABASE": "stock_assets",
        "WORKGROUP": "stock_assets",
        "TOPIC": "<AlertTopic>",
        "SECRET": "<ApiKeySecret.Id>",
        "KMS_KEY": KMS_KEY,
    }.items():
        listed = re.sub(rf"(?<![A-Za-z]){placeholder}(?![A-Za-z])", value, listed)
    assert properties("PipelinePolicy")["PolicyDocument"] == json.loads(listed)


def test_the_policy_has_no_wildcard_action_or_resource() -> None:
    for statement in properties("PipelinePolicy")["PolicyDocument"]["Statement"]:
        assert not any("*" in action for action in statement["Action"]), statement["Sid"]
        places = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert "*" not in places, statement["Sid"]


def test_optional_resources_are_omitted_without_an_api_key() -> None:
    plain = {"KmsKeyArn": "", "Source": "recorded"}
    statements = properties("PipelinePolicy", **plain)["PolicyDocument"]["Statement"]
    assert {"ApiKey", "Encryption"}.isdisjoint(statement["Sid"] for statement in statements)
    [rule] = properties("Bucket", **plain)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert {"STOCK_ASSETS_AWS_API_KEY_SECRET", "STOCK_ASSETS_AWS_KMS_KEY"}.isdisjoint(variables(**plain))


@pytest.mark.parametrize("source", list(SourceName))
def test_the_variables_of_the_outputs_configure_the_backend_of_the_stack(
    source: SourceName, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = variables(Source=source.value, Prefix="data/prices", Database="prices", Workgroup="notifier")
    for name, value in configured.items():
        monkeypatch.setenv(name, value)
    # What a name's reference would be on AWS.
    monkeypatch.setenv("STOCK_ASSETS_ALERT_TOPIC_ARN", f"arn:aws:sns:{REGION}:123456789012:alerts")
    backend = Pipeline.from_settings(Settings.from_env()).backend

    assert isinstance(backend, AthenaBackend)
    assert (backend.bucket, backend.workgroup, backend.kms_key, backend.region) == (
        GIVEN["BucketName"],
        "notifier",
        KMS_KEY,
        REGION,
    )
    more = {"Source": source.value, "Prefix": "data/prices", "Database": "prices", "Workgroup": "notifier"}
    made = {properties(f"{step}Database", **more)["DatabaseInput"]["Name"] for step in ("Raw", "Staged", "Published")}
    assert made == {f"{backend.database}_{step}" for step in ("raw", "staged", "published")}
    group = properties("QueryWorkgroup", **more)["WorkGroupConfiguration"]
    assert group["ResultConfiguration"]["OutputLocation"] == backend.results


def test_only_temporary_objects_expire(tmp_path: Path) -> None:
    """Responses, notes, ledger, call counts, snapshots and published files never expire."""
    rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    assert expiring == {f"stock_assets/alpha_vantage/{part}/" for part in ("results", "staged/tables", "staged/inputs")}
    assert STACK["Parameters"]["StagedDays"]["Default"] > Settings().staging_retention_days


def test_the_workgroup_enforces_no_result_location_because_staging_sets_its_own() -> None:
    staging = (PROJECT / "sql" / "ddl" / "athena").glob("*.sql")
    assert any("location" in file.read_text(encoding="utf-8").lower() for file in staging)
    configuration = properties("QueryWorkgroup")["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is False
    assert configuration["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}


def test_the_policy_allows_the_location_of_dagsters_logs() -> None:
    instance = yaml.safe_load((TEMPLATE.parent / "dagster.yaml").read_text(encoding="utf-8"))
    logs = instance["compute_logs"]["config"]
    [objects] = [s for s in properties("PipelinePolicy")["PolicyDocument"]["Statement"] if s["Sid"] == "Objects"]
    assert f"arn:aws:s3:::{GIVEN['BucketName']}/{logs['prefix']}/*" in objects["Resource"]
    assert logs["bucket"]["env"] in variables()


@dataclass(frozen=True)
class Deployed:
    """The stack on the emulator, and its pipeline's user.

    Attributes:
        endpoint: address of the emulator.
        settings: from the stack's output.
        user: credentials of a user with the stack's policy and nothing else.
        outputs: of the stack.
    """

    endpoint: str
    settings: Settings
    user: dict[str, str]

    def root(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Return a client with all permissions."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 (the emulator's credentials with all permissions)
        )


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with running_ministack(checks_policies=True) as endpoint:
        empty = Deployed(endpoint, Settings(), {})
        stacks, iam = empty.root("cloudformation"), empty.root("iam")
        stacks.create_stack(
            StackName="prices",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": "BucketName", "ParameterValue": GIVEN["BucketName"]}],
            Capabilities=["CAPABILITY_IAM"],
        )
        outputs = finished(stacks)
        iam.create_user(UserName="pipeline")
        iam.attach_user_policy(UserName="pipeline", PolicyArn=outputs["PolicyArn"])
        key = iam.create_access_key(UserName="pipeline")["AccessKey"]
        user = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        configured = dict(pair.split("=", 1) for pair in outputs["Settings"].split(" "))
        fields = {
            name.removeprefix("STOCK_ASSETS_").lower(): value
            for name, value in configured.items()
            if name != "STOCK_ASSETS_DAGSTER_LOG_BUCKET"
        }
        settings = Settings(**{**fields, "aws_endpoint_url": HttpUrl(endpoint)})  # type: ignore[arg-type]  # by name
        yield Deployed(endpoint, settings, user)


def finished(stacks: Any) -> dict[str, str]:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
    """Wait for the stack and return its outputs."""
    for _ in range(100):
        [stack] = stacks.describe_stacks(StackName="prices")["Stacks"]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture
def backend(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> AthenaBackend:
    """Return the backend of the settings, as the pipeline's user, without the rule on TLS: the emulator has none."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    for name, value in deployed.user.items():
        monkeypatch.setenv(name, value)
    deployed.root("s3").delete_bucket_policy(Bucket=GIVEN["BucketName"])
    made = Pipeline.from_settings(deployed.settings).backend
    assert isinstance(made, AthenaBackend)
    return made


on_ministack = [pytest.mark.ministack, pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL)]


class TestDeployed:
    """The emulator does not support the bucket's lifecycle rules, so they are removed from the template."""

    pytestmark = on_ministack

    def test_the_resources_equal_the_template(self, deployed: Deployed) -> None:
        assert deployed.settings.backend is BackendName.AWS
        s3, bucket = deployed.root("s3"), GIVEN["BucketName"]
        blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert all(blocked.values())
        assert len(blocked) == 4
        [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
        databases = {found["Name"] for found in deployed.root("glue").get_databases()["DatabaseList"]}
        assert {f"stock_assets_alpha_vantage_{step}" for step in ("raw", "staged", "published")} <= databases
        group = deployed.root("athena").get_work_group(WorkGroup="stock_assets")["WorkGroup"]["Configuration"]
        assert int(group["BytesScannedCutoffPerQuery"]) == 10 * 1024**3
        assert group["ResultConfiguration"]["OutputLocation"] == (f"s3://{bucket}/stock_assets/alpha_vantage/results/")
        assert deployed.settings.alert_topic_arn in {
            topic["TopicArn"] for topic in deployed.root("sns").list_topics()["Topics"]
        }

    def test_the_bucket_rejects_requests_without_tls(self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
        s3, bucket = deployed.root("s3"), GIVEN["BucketName"]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(properties("BucketPolicy")["PolicyDocument"]))
        for name, value in deployed.user.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        try:
            with pytest.raises(AccessRefused):
                Pipeline.from_settings(deployed.settings).backend.objects.keys("")
        finally:
            s3.delete_bucket_policy(Bucket=bucket)

    def test_the_policy_allows_objects_ledger_and_rate_limiter(self, backend: AthenaBackend) -> None:
        backend.objects.put("raw/a", b"body")
        assert backend.objects.get("raw/a") == b"body"
        assert backend.objects.keys("raw/") == ["raw/a"]
        with pytest.raises(KeyError):
            backend.objects.get("raw/none")
        backend.objects.delete("raw/a")
        now = datetime.now(UTC)
        fetch = Fetch("IBM", FetchKind.PRICES, now, Outcome.OK)
        backend.ledger.record(fetch)
        assert backend.ledger.fetches(FetchKind.PRICES) == [fetch]
        assert backend.rate_limiter.acquire("a vendor", CallLimits(per_day=1), lambda: now) is None
        assert backend.rate_limiter.used_calls("a vendor", now) == 1

    def test_the_policy_is_enough_for_the_catalogs_own_calls(self, backend: AthenaBackend) -> None:
        glue = Glue(backend.access)
        database = f"{backend.database}_staged"
        glue.create_database(database)
        table = external_parquet("rows", ["symbol"], backend.objects.uri("staged/inputs/x/"))
        glue.create(database, table)
        assert [found["Name"] for found in glue.tables(database, "ro")] == ["rows"]
        backend.warehouse.drop_staging("load_1")
        glue.delete(database, "rows")
        assert glue.table(database, "rows") is None

    def test_the_policy_is_enough_for_secret_and_topic(self, backend: AthenaBackend, deployed: Deployed) -> None:
        secret, topic = deployed.settings.aws_api_key_secret, deployed.settings.alert_topic_arn
        assert secret is not None
        assert topic is not None
        deployed.root("secretsmanager").put_secret_value(SecretId=secret, SecretString=KEY)
        assert SecretsManagerKey(AwsAccess(region=REGION, endpoint_url=deployed.endpoint), secret).read() == KEY
        SnsTopic(topic, endpoint_url=deployed.endpoint).send(INCIDENT.message(AT))

    def test_nothing_else_of_the_account_can_be_reached(self, backend: AthenaBackend, deployed: Deployed) -> None:
        deployed.root("s3").put_object(Bucket=backend.bucket, Key="of-others/a", Body=b"")
        deployed.root("secretsmanager").create_secret(Name="of-others", SecretString="x")
        topic = deployed.root("sns").create_topic(Name="of-others")["TopicArn"]
        deployed.root("glue").create_database(DatabaseInput={"Name": "of_others"})
        others = S3Objects(backend.access, BucketFolder(backend.bucket, "of-others"))
        secret = SecretsManagerKey(AwsAccess(region=REGION, endpoint_url=deployed.endpoint), "of-others")

        for reach in (
            lambda: others.get("a"),
            lambda: others.put("b", b""),
            lambda: others.delete("a"),
            secret.read,
            lambda: Glue(backend.access).tables("of_others", ""),
        ):
            with pytest.raises(AccessRefused):
                reach()
        with pytest.raises(AlertUndelivered, match="not authorized"):
            SnsTopic(topic, endpoint_url=deployed.endpoint).send(INCIDENT.message(AT))
        deployed.root("s3").create_bucket(Bucket="of-others")
        with pytest.raises(AccessRefused):
            S3Objects(backend.access, BucketFolder("of-others", "")).keys("")
