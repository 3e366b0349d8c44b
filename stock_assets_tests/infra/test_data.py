"""The template `data`: consistent with documentation and settings, and sufficient for the backend.

It is deployed on ministack, whose IAM denies what no policy allows. Only AWS can test the checks of Athena and Glue.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from pydantic import HttpUrl

from stock_assets.alerts.channels import SnsTopic
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.glue import Glue, external_parquet
from stock_assets.backends.lakehouse.landing_queue import LandingQueue
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.backends.lakehouse.secret import SecretsManagerKey
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import AccessRefused, AlertUndelivered, Outcome
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.backend import construct_backend
from stock_assets.settings import API_KEY_VARIABLE, BackendName, Settings, SourceName
from stock_assets_tests.emulators.athena.names import CREDENTIALS
from stock_assets_tests.infra.cloudformation import ACCOUNT, KMS_KEY, REGION, TEMPLATES, Stack
from stock_assets_tests.support.incidents import AT, INCIDENT
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

PROJECT = Path(__file__).parents[2]
SOURCE = "alpha_vantage"
STAGED = ("staged/tables", "staged/inputs")


def stack(**given: str) -> Stack:
    """Return the stack with a KMS key."""
    return Stack("data", {"KmsKeyArn": KMS_KEY, **given})


def test_the_policy_allows_the_documented_actions() -> None:
    text = (PROJECT / "docs" / "aws.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    outputs = stack().outputs()
    for placeholder, value in {
        "BUCKET": outputs["Bucket"],
        "PREFIX": "stock_assets",
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "DATABASE": "stock_assets",
        "SOURCE": SOURCE,
        "WORKGROUP": f"stock_assets_{SOURCE}",
        "TOPIC": outputs["AlertTopicArn"],
        "QUEUE": stack().arn("NewObjects"),
        "KMS_KEY": KMS_KEY,
    }.items():
        listed = re.sub(rf"(?<![A-Za-z]){placeholder}(?![A-Za-z])", value, listed)
    assert stack().properties("PipelinePolicy")["PolicyDocument"] == json.loads(listed)


def test_optional_resources_are_omitted_without_an_api_key() -> None:
    plain = stack(KmsKeyArn="", Source="recorded")
    statements = plain.properties("PipelinePolicy")["PolicyDocument"]["Statement"]
    assert "Encryption" not in {statement["Sid"] for statement in statements}
    [rule] = plain.properties("Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert {"STOCK_ASSETS_AWS_API_KEY_SECRET", "STOCK_ASSETS_AWS_KMS_KEY"}.isdisjoint(plain.settings())
    assert {"ApiKeySecret", "ApiKeyPolicy", "AlertSubscription"}.isdisjoint(plain.created)


@pytest.mark.parametrize("source", list(SourceName))
def test_the_variables_of_the_outputs_configure_the_backend_of_the_stack(
    source: SourceName, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stack(Source=source.value, Prefix="data/prices", Database="prices")
    for name, value in given.settings().items():
        monkeypatch.setenv(name, value)
    backend = Pipeline.from_settings(Settings.from_env()).backend

    assert isinstance(backend, AthenaBackend)
    assert (backend.bucket, backend.workgroup, backend.kms_key, backend.region) == (
        given.outputs()["Bucket"],
        f"prices_{source}",
        KMS_KEY,
        REGION,
    )
    # The policy covers the databases that the backend creates.
    [catalog] = [one for one in policy(given) if one["Sid"] == "Catalog"]
    assert f"arn:aws:glue:{REGION}:{ACCOUNT}:database/{backend.database}_*" in catalog["Resource"]
    group = given.properties("QueryWorkgroup")["WorkGroupConfiguration"]
    assert group["ResultConfiguration"]["OutputLocation"] == backend.results


def universes(configured: Mapping[str, str], names: str = "default,banks,energy") -> dict[str, AthenaBackend]:
    """Return the backends of the universes of a deployment, by name."""
    fields = {
        name.removeprefix("STOCK_ASSETS_").lower(): value
        for name, value in configured.items()
        if name != "STOCK_ASSETS_DAGSTER_LOG_BUCKET"
    }
    found = Settings.model_validate({**fields, "aws_universes": names}).of_each_universe()
    backends = {each.universe_name: construct_backend(each) for each in found}
    return {name: backend for name, backend in backends.items() if isinstance(backend, AthenaBackend)}


def policy(given: Stack) -> list[dict[str, Any]]:
    """Return the statements of the pipeline's policy."""
    statements: list[dict[str, Any]] = given.properties("PipelinePolicy")["PolicyDocument"]["Statement"]
    return statements


def test_the_stacks_of_two_sources_share_nothing() -> None:
    one, other = (Stack("data", {"Source": source.value}, name=source.value) for source in SourceName)
    assert one.properties("QueryWorkgroup")["Name"] != other.properties("QueryWorkgroup")["Name"]
    # The catalog as a whole and the database `default` have no other name.
    shared = {place for statement in policy(one) for place in listed(statement["Resource"])} & {
        place for statement in policy(other) for place in listed(statement["Resource"])
    }
    assert {place.rpartition(":")[2] for place in shared} == {"catalog", "database/default"}


def listed(value: str | list[str]) -> list[str]:
    """Return a list for one value or several."""
    return [value] if isinstance(value, str) else value


def test_a_kept_resource_has_no_fixed_name_so_that_the_stack_can_be_created_again() -> None:
    kept = {name for name, one in stack().created.items() if "Retain" in one.get("DeletionPolicy", "")}
    assert kept == {"Bucket"}
    assert "BucketName" not in stack().properties("Bucket")
    again = stack(ExistingBucket="kept-bucket")
    assert "Bucket" not in again.created
    assert again.outputs()["Bucket"] == "kept-bucket"
    assert again.settings()["STOCK_ASSETS_AWS_BUCKET"] == "kept-bucket"
    assert again.properties("BucketPolicy")["Bucket"] == "kept-bucket"
    places = [place for statement in policy(again) for place in listed(statement["Resource"]) if ":s3:::" in place]
    assert all(place.startswith("arn:aws:s3:::kept-bucket") for place in places)
    assert again.properties("QueryWorkgroup")["RecursiveDeleteOption"] is True


def test_only_temporary_objects_expire() -> None:
    """Responses, ledger, call counts, records, snapshots and published files never expire."""
    rules = stack().properties("Bucket")["LifecycleConfiguration"]["Rules"]
    expiring = {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}
    own = {f"stock_assets/{SOURCE}/{part}/" for part in ("results", "staged/tables", "staged/inputs", "scratch")}
    assert expiring == own | {"dagster/", "consumer_results/"}
    for backend in universes(stack().settings()).values():
        of_days = [backend.results, *(f"s3://{backend.bucket}/{backend.scratch_prefix}/{part}" for part in STAGED)]
        of_years = [backend.objects.uri(part) for part in ("raw", "ledger", "published", "history", "staged/loads")]
        for place in of_days + of_years:
            key = place.removeprefix(f"s3://{backend.bucket}/")
            assert any(f"{key}/".startswith(prefix) for prefix in expiring) == (place in of_days), place
    parameters = stack().body["Parameters"]
    assert parameters["StagedDays"]["Default"] > Settings().staging_retention_days
    assert parameters["RunLogDays"]["Default"] >= Settings().run_retention_days


def test_the_landing_area_is_announced() -> None:
    [configured] = stack().properties("Bucket")["NotificationConfiguration"]["QueueConfigurations"]
    assert configured["Filter"]["S3Key"]["Rules"] == [
        {"Name": "prefix", "Value": f"stock_assets/{SOURCE}/raw/daily_prices/"}
    ]
    assert configured["Event"] == "s3:ObjectCreated:*"
    assert configured["Queue"] == stack().arn("NewObjects")


def test_the_workgroup_enforces_no_result_location_because_staging_sets_its_own() -> None:
    staging = (PROJECT / "sql" / "ddl" / "athena").glob("*.sql")
    assert any("location" in file.read_text(encoding="utf-8").lower() for file in staging)
    configuration = stack().properties("QueryWorkgroup")["WorkGroupConfiguration"]
    assert configuration["EnforceWorkGroupConfiguration"] is False
    assert configuration["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}


def test_the_policy_allows_the_location_of_dagsters_logs() -> None:
    instance = yaml.safe_load((TEMPLATES / "dagster.yaml").read_text(encoding="utf-8"))
    logs = instance["compute_logs"]["config"]
    [objects] = [one for one in policy(stack()) if one["Sid"] == "RunLogs"]
    assert objects["Resource"] == f"arn:aws:s3:::{stack().outputs()['Bucket']}/{logs['prefix']}/*"
    assert logs["bucket"]["env"] in stack().settings()


@dataclass(frozen=True)
class Deployed:
    """The stack on the emulator, and its pipeline's user.

    Attributes:
        endpoint: address of the emulator.
        settings: from the stack's output.
        user: credentials of a user with the stack's policy and nothing else.
        outputs: of the stack.
        bucket_policy: of the stack; the tests remove it from the bucket, because the emulator has no TLS.
    """

    endpoint: str
    settings: Settings
    user: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    bucket_policy: dict[str, Any] = field(default_factory=dict)

    def root(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        """Return a client with all permissions."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 (the emulator's credentials with all permissions)
        )

    def administrator(self, name: str, *actions: str) -> dict[str, str]:
        """Create a user with some actions on everything; return the arguments of its clients."""
        iam, statement = self.root("iam"), {"Effect": "Allow", "Action": actions, "Resource": "*"}
        iam.create_user(UserName=name)
        iam.put_user_policy(
            UserName=name,
            PolicyName="everything",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
            "endpoint_url": self.endpoint,
            "region_name": REGION,
        }


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with running_ministack(checks_policies=True) as endpoint:
        empty = Deployed(endpoint, Settings(), {})
        stacks, iam = empty.root("cloudformation"), empty.root("iam")
        stacks.create_stack(
            StackName="prices",
            TemplateBody=Stack("data").text,
            Capabilities=["CAPABILITY_IAM"],
        )
        outputs = finished(stacks)
        iam.create_user(UserName="pipeline")
        iam.attach_user_policy(UserName="pipeline", PolicyArn=outputs["PipelinePolicyArn"])
        key = iam.create_access_key(UserName="pipeline")["AccessKey"]
        user = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        configured = dict(pair.split("=", 1) for pair in outputs["Settings"].split(" "))
        fields = {
            name.removeprefix("STOCK_ASSETS_").lower(): value
            for name, value in configured.items()
            if name != "STOCK_ASSETS_DAGSTER_LOG_BUCKET"
        }
        settings = Settings(**{**fields, "aws_endpoint_url": HttpUrl(endpoint)})  # type: ignore[arg-type]  # by name
        found = empty.root("s3").get_bucket_policy(Bucket=outputs["Bucket"])["Policy"]
        yield Deployed(endpoint, settings, user, outputs, json.loads(found))


def finished(stacks: Any) -> dict[str, str]:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
    """Wait for the stack and return its outputs."""
    for _ in range(1800):
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
    deployed.root("s3").delete_bucket_policy(Bucket=deployed.settings.aws_bucket)
    made = Pipeline.from_settings(deployed.settings).backend
    assert isinstance(made, AthenaBackend)
    return made


on_ministack = [pytest.mark.infra, pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL)]


class TestDeployed:
    """The emulator does not support the bucket's lifecycle rules, so they are removed from the template."""

    pytestmark = on_ministack

    def test_the_resources_equal_the_template(self, deployed: Deployed) -> None:
        assert deployed.settings.backend is BackendName.AWS
        s3, bucket = deployed.root("s3"), deployed.settings.aws_bucket
        blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert all(blocked.values())
        assert len(blocked) == 4
        [rule] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
        group = deployed.root("athena").get_work_group(WorkGroup=f"stock_assets_{SOURCE}")["WorkGroup"]["Configuration"]
        assert int(group["BytesScannedCutoffPerQuery"]) == 10 * 1024**3
        assert group["ResultConfiguration"]["OutputLocation"] == (f"s3://{bucket}/stock_assets/alpha_vantage/results/")
        assert deployed.settings.alert_topic_arn in {
            topic["TopicArn"] for topic in deployed.root("sns").list_topics()["Topics"]
        }

    def test_the_bucket_rejects_requests_without_tls(self, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
        s3, bucket = deployed.root("s3"), deployed.settings.aws_bucket
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(deployed.bucket_policy))
        for name, value in deployed.user.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        try:
            with pytest.raises(AccessRefused):
                Pipeline.from_settings(deployed.settings).backend.objects.keys("")
        finally:
            s3.delete_bucket_policy(Bucket=bucket)

    def test_only_the_named_role_deletes_responses(self, deployed: Deployed) -> None:
        s3, bucket = deployed.root("s3"), deployed.settings.aws_bucket
        role = deployed.outputs["RawDeletionRoleArn"]
        [kept] = [one for one in deployed.bucket_policy["Statement"] if one["Sid"] != "TlsOnly"]
        assert kept["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] == role
        # On AWS, the key has the ARN of the role; on the emulator, the ARN of its session.
        session = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/clean-up"
        there = json.dumps({**deployed.bucket_policy, "Statement": [kept]}).replace(role, session)
        s3.put_bucket_policy(Bucket=bucket, Policy=there)
        administrator = deployed.administrator("administrator", "s3:*", "sts:AssumeRole")
        response = {"Bucket": bucket, "Key": f"stock_assets/{SOURCE}/raw/daily_prices/a"}
        try:
            s3.put_object(**response, Body=b"body")
            with pytest.raises(ClientError, match="AccessDenied"):
                boto3.client("s3", **administrator).delete_object(**response)
            taken = boto3.client("sts", **administrator).assume_role(RoleArn=role, RoleSessionName="clean-up")[
                "Credentials"
            ]
            as_role = administrator | {
                "aws_access_key_id": taken["AccessKeyId"],
                "aws_secret_access_key": taken["SecretAccessKey"],
                "aws_session_token": taken["SessionToken"],
            }
            boto3.client("s3", **as_role).delete_object(**response)
            assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=response["Key"])
        finally:
            s3.delete_bucket_policy(Bucket=bucket)

    def test_the_policy_covers_every_universe_and_protects_its_responses(
        self, backend: AthenaBackend, deployed: Deployed
    ) -> None:
        root = deployed.root("s3")
        for name, symbol in (("banks", "JPM"), ("energy", "XOM")):
            file = f"symbol,name,first_session,last_session\n{symbol},,,\n".encode()
            root.put_object(Bucket=backend.bucket, Key=f"artifacts/universes/{name}.csv", Body=file)
        fields = deployed.settings.model_dump(exclude_unset=True) | {"aws_universes": "banks,energy"}
        found = [Pipeline.from_settings(each) for each in Settings.model_validate(fields).of_each_universe()]
        assert [pipeline.universe.symbols for pipeline in found] == [("JPM",), ("XOM",)]
        for pipeline in found:
            universe = pipeline.backend
            assert isinstance(universe, AthenaBackend)
            universe.objects.put("raw/daily_prices/a", universe.prefix.encode())
            with pytest.raises(AccessRefused):
                universe.objects.delete("raw/daily_prices/a")
            scratch = S3Objects(universe.access, BucketFolder(universe.bucket, universe.scratch_prefix))
            scratch.put("staged/tables/a", b"rows")
            scratch.delete("staged/tables/a")
            universe.ledger.record(Fetch(pipeline.universe.symbols[0], FetchKind.PRICES, AT, Outcome.OK))
            Glue(universe.access).create_database(f"{universe.database}_published")
            assert universe.objects.get("raw/daily_prices/a") == universe.prefix.encode()
            assert [one.symbol for one in universe.ledger.fetches(FetchKind.PRICES)] == [*pipeline.universe.symbols]
        symbols = S3Objects(backend.access, BucketFolder(backend.bucket, "artifacts/universes"))
        with pytest.raises(AccessRefused):
            symbols.put("banks.csv", b"")
        with pytest.raises(AccessRefused):
            S3Objects(backend.access, BucketFolder(backend.bucket, "artifacts")).get("settings.env")

        owner = boto3.client("s3", **deployed.administrator("owner", "s3:*"))
        rules = [one for one in deployed.bucket_policy["Statement"] if one["Sid"] != "TlsOnly"]
        root.put_bucket_policy(Bucket=backend.bucket, Policy=json.dumps({**deployed.bucket_policy, "Statement": rules}))
        try:
            for name in ("banks", "energy"):
                folder = f"stock_assets/{SOURCE}/universes/{name}"
                with pytest.raises(ClientError, match="AccessDenied"):
                    owner.delete_object(Bucket=backend.bucket, Key=f"{folder}/raw/daily_prices/a")
                owner.put_object(Bucket=backend.bucket, Key=f"{folder}/published/a", Body=b"")
                owner.delete_object(Bucket=backend.bucket, Key=f"{folder}/published/a")
        finally:
            root.delete_bucket_policy(Bucket=backend.bucket)

    def test_a_new_object_is_announced_to_the_pipeline(self, backend: AthenaBackend, deployed: Deployed) -> None:
        backend.objects.put("raw/daily_prices/b", b"body")
        backend.objects.put("results/b", b"body")
        queue = LandingQueue(backend.access, str(deployed.settings.aws_landing_queue_url), backend.prefix)
        received = queue.receive()
        # AWS checks `sqs:DeleteMessage` for batches too; the emulator checks an action that AWS does not have.
        for receipt in received.receipts:
            backend.access.client("sqs").delete_message(QueueUrl=queue.url, ReceiptHandle=receipt)
        assert queue.receive().keys == ()
        # Another test has stored an object in the landing area too.
        assert "raw/daily_prices/b" in received.keys
        assert all(key.startswith("raw/daily_prices/") for key in received.keys)

    def test_the_policy_allows_objects_ledger_and_rate_limiter(self, backend: AthenaBackend) -> None:
        backend.objects.put("raw/a", b"body")
        assert backend.objects.get("raw/a") == b"body"
        assert "raw/a" in backend.objects.keys("raw/")
        with pytest.raises(KeyError):
            backend.objects.get("raw/none")
        with pytest.raises(AccessRefused):
            backend.objects.delete("raw/a")
        backend.objects.put("staged/loads/a", b"body")
        backend.objects.delete("staged/loads/a")
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

    def test_the_policies_are_enough_for_secret_and_topic(self, backend: AthenaBackend, deployed: Deployed) -> None:
        secret, topic = deployed.settings.aws_api_key_secret, deployed.settings.alert_topic_arn
        assert secret is not None
        assert topic is not None
        deployed.root("secretsmanager").put_secret_value(SecretId=secret, SecretString=KEY)
        key, iam = (
            SecretsManagerKey(AwsAccess(region=REGION, endpoint_url=deployed.endpoint), secret, API_KEY_VARIABLE),
            deployed.root("iam"),
        )
        with pytest.raises(AccessRefused):
            key.read()
        iam.attach_user_policy(UserName="pipeline", PolicyArn=deployed.outputs["ApiKeyPolicyArn"])
        assert key.read() == KEY
        iam.detach_user_policy(UserName="pipeline", PolicyArn=deployed.outputs["ApiKeyPolicyArn"])
        SnsTopic(topic, endpoint_url=deployed.endpoint).send(INCIDENT.message(AT))

    def test_nothing_else_of_the_account_can_be_reached(self, backend: AthenaBackend, deployed: Deployed) -> None:
        deployed.root("s3").put_object(Bucket=backend.bucket, Key="of-others/a", Body=b"")
        deployed.root("secretsmanager").create_secret(Name="of-others", SecretString="x")
        topic = deployed.root("sns").create_topic(Name="of-others")["TopicArn"]
        deployed.root("glue").create_database(DatabaseInput={"Name": "of_others"})
        others = S3Objects(backend.access, BucketFolder(backend.bucket, "of-others"))
        access = AwsAccess(region=REGION, endpoint_url=deployed.endpoint)
        secret = SecretsManagerKey(access, "of-others", API_KEY_VARIABLE)

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
