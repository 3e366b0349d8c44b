"""All templates on ministack with IAM enforcement: created in order, used with their policies, deleted, used again."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.metrics import CloudWatchMetrics
from stock_assets_tests.emulators.athena.names import CREDENTIALS
from stock_assets_tests.infra.cloudformation import REGION, Stack
from stock_assets_tests.infra.deployed import LEFT_OUT, Account
from stock_assets_tests.infra.permissions import GIVEN
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack

pytestmark = [pytest.mark.infra, pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL)]

ORDER = ("data", "ingestion", "monitoring", "single", "fargate", "consumers", "github")
DATA = "stock_assets/alpha_vantage"
_PATIENCE_SECONDS = 180


def stack(name: str) -> Stack:
    """Return a stack with the parameters that no other stack gives."""
    given = {
        key: GIVEN[key] for key in ("CodeKey", "Image", "GitHubRepository") if key in Stack(name).body["Parameters"]
    }
    return Stack(name, given)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """An account with all stacks; its buckets accept requests without TLS."""
    with running_ministack(checks_policies=True) as endpoint:
        made = Account(endpoint)
        for name in ORDER:
            given = {"ImageId": made.put_image()} if name == "single" else {}
            made.create(Stack(name, stack(name).given | given))
            if name == "data":
                made.put_function(GIVEN["CodeKey"])
        for bucket in (made.known["Bucket"], made.known["PipesBucket"]):
            made.without_tls_rule(bucket)
        yield made


class User:
    """A user with the policies of one role, which IAM enforces."""

    def __init__(self, account: Account, name: str, *managed: str, inline: tuple[str, str] | None = None) -> None:
        self._account = account
        self.credentials = account.user(name, *managed)
        if inline is not None:
            iam = account.client("iam")
            role = account.resources(Stack(inline[0]))[inline[1]]
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=json.dumps(document))

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return self._account.client(service, **self.credentials)


def denied(call: Callable[..., object], **arguments: object) -> None:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    code = error.value.response["Error"]["Code"]
    assert code.startswith(("AccessDenied", "AuthorizationError")), error.value


def eventually(check: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever the check returns)
    """Repeat a check until it returns something, and return that."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not (found := check()):
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.5)
    return found


@pytest.mark.parametrize("name", ORDER)
def test_the_emulator_creates_everything_except_what_is_listed(account: Account, name: str) -> None:
    declared = account.resources(stack(name)).keys()
    left_out = {key for key, one in Stack(name).body["Resources"].items() if one["Type"] in LEFT_OUT}
    assert declared.isdisjoint(left_out)
    [made] = account.client("cloudformation").describe_stacks(StackName=f"stock-assets-{name}")["Stacks"]
    values = {one["ParameterKey"]: one["ParameterValue"] for one in made["Parameters"]}
    expected = Stack(name, values).created.keys() - left_out
    assert declared == expected


def test_the_function_reaches_responses_ledger_quota_and_secret_and_nothing_else(account: Account) -> None:
    user = User(account, "function", inline=("ingestion", "FunctionRole"))
    s3, bucket = user.client("s3"), account.known["Bucket"]
    own = ("raw/daily_prices/x", "ledger/prices/new/x.json", "layout.json")
    for key in ("quota/x.json", *own, *(f"universes/banks/{key}" for key in own)):
        s3.put_object(Bucket=bucket, Key=f"{DATA}/{key}", Body=b"x", IfNoneMatch="*")
        assert s3.get_object(Bucket=bucket, Key=f"{DATA}/{key}")["Body"].read() == b"x"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key=f"{DATA}/raw/daily_prices/none")
    s3.put_object(Bucket=account.known["PipesBucket"], Key="run/1.json", Body=b"{}")
    secrets = user.client("secretsmanager")
    account.client("secretsmanager").put_secret_value(SecretId=account.known["ApiKeySecretArn"], SecretString="key")
    assert secrets.get_secret_value(SecretId=account.known["ApiKeySecretArn"])["SecretString"] == "key"

    account.client("s3").put_object(Bucket=bucket, Key=f"{DATA}/published/x", Body=b"x")
    denied(s3.get_object, Bucket=bucket, Key=f"{DATA}/published/x")
    denied(s3.put_object, Bucket=bucket, Key=f"{DATA}/published/y", Body=b"x")
    denied(s3.put_object, Bucket=bucket, Key=f"{DATA}/staged/tables/y", Body=b"x")
    denied(s3.delete_object, Bucket=bucket, Key=f"{DATA}/raw/daily_prices/x")
    denied(s3.put_object, Bucket=bucket, Key=f"{DATA}/universes/banks/published/y", Body=b"x")
    denied(s3.put_object, Bucket=bucket, Key="artifacts/universes/banks.csv", Body=b"x")
    denied(s3.get_object, Bucket=account.known["PipesBucket"], Key="run/1.json")
    other = account.client("secretsmanager").create_secret(Name="of-others", SecretString="x")["ARN"]
    denied(secrets.get_secret_value, SecretId=other)
    denied(user.client("sns").publish, TopicArn=account.known["AlertTopicArn"], Message="x")


def test_dagster_starts_the_function_and_reads_its_messages(account: Account) -> None:
    user = User(account, "starter", account.known["IngestionPolicyArn"])
    answer = user.client("lambda").invoke(FunctionName=account.known["FunctionName"], Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == {"a": 1}
    account.client("s3").put_object(Bucket=account.known["PipesBucket"], Key="run/2.json", Body=b"{}")
    s3 = user.client("s3")
    assert s3.get_object(Bucket=account.known["PipesBucket"], Key="run/2.json")["Body"].read() == b"{}"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=account.known["PipesBucket"], Key="run/3.json")
    denied(s3.put_object, Bucket=account.known["PipesBucket"], Key="run/3.json", Body=b"{}")
    denied(user.client("lambda").delete_function, FunctionName=account.known["FunctionName"])


def test_a_producer_delivers_through_firehose_into_the_landing_area(account: Account) -> None:
    user = User(account, "producer", account.known["ProducerPolicyArn"])
    stream = account.known["DeliveryStreamName"]
    user.client("firehose").put_record(DeliveryStreamName=stream, Record={"Data": b'{"symbol": "IBM"}'})
    s3 = account.client("s3")

    def delivered() -> list[str]:
        listed = s3.list_objects_v2(Bucket=account.known["Bucket"], Prefix=f"{DATA}/raw/daily_prices/ingest_date=")
        return [entry["Key"] for entry in listed.get("Contents", []) if "/firehose/" in entry["Key"]]

    assert len(eventually(delivered)) == 1
    denied(user.client("firehose").delete_delivery_stream, DeliveryStreamName=stream)


def test_a_failed_run_reaches_the_queue_of_a_subscriber(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of every alarm: metric of the pipeline, alarm, topic, subscription."""
    sqs, sns, cloudwatch = (account.client(name) for name in ("sqs", "sns", "cloudwatch"))
    queue = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=account.known["AlertTopicArn"], Protocol="sqs", Endpoint=arn)
    alarm = account.resources(stack("monitoring"))["RunFailure"]
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    metrics = CloudWatchMetrics(
        AwsAccess(region=REGION, endpoint_url=account.endpoint),
        stack("monitoring").settings()["STOCK_ASSETS_AWS_METRICS_NAMESPACE"],
    )
    received: list[dict[str, Any]] = []

    def states() -> list[str]:
        cloudwatch.describe_alarms()  # the emulator evaluates alarms only here
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        received.extend(json.loads(json.loads(message["Body"])["Message"]) for message in messages)
        return [one["NewStateValue"] for one in received if one["AlarmName"] == alarm]

    metrics.send({"Heartbeat": 1, "FailedRuns": 0, "LateSessions": 0})
    assert "ALARM" not in states()
    metrics.send({"Heartbeat": 1, "FailedRuns": 1, "LateSessions": 0})
    eventually(lambda: "ALARM" in states())
    assert {one["AlarmName"] for one in received if one["NewStateValue"] == "ALARM"} == {alarm}


def test_consumers_read_published_files_and_nothing_else(account: Account) -> None:
    user = User(account, "consumer", account.known["ConsumerPolicyArn"])
    s3, bucket, root = user.client("s3"), account.known["Bucket"], account.client("s3")
    for folder in (DATA, f"{DATA}/universes/banks"):
        for key in ("published/daily_prices/y", "raw/daily_prices/y", "staged/tables/y"):
            root.put_object(Bucket=bucket, Key=f"{folder}/{key}", Body=b"x")
        assert s3.get_object(Bucket=bucket, Key=f"{folder}/published/daily_prices/y")["Body"].read() == b"x"
        s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/published/")
        denied(s3.get_object, Bucket=bucket, Key=f"{folder}/raw/daily_prices/y")
        denied(s3.get_object, Bucket=bucket, Key=f"{folder}/staged/tables/y")
        denied(s3.list_objects_v2, Bucket=bucket, Prefix=f"{folder}/raw/")
        denied(s3.put_object, Bucket=bucket, Key=f"{folder}/published/daily_prices/y", Body=b"y")
    s3.put_object(Bucket=bucket, Key="consumer_results/y", Body=b"x")
    group = account.client("athena").get_work_group(WorkGroup=account.known["ConsumerWorkgroup"])["WorkGroup"]
    assert group["Configuration"]["EnforceWorkGroupConfiguration"] is True


def test_a_workflow_uploads_artifacts_and_reads_no_data(account: Account) -> None:
    user = User(account, "deploy", inline=("github", "DeployRole"))
    s3, bucket = user.client("s3"), account.known["Bucket"]
    s3.put_object(Bucket=bucket, Key="artifacts/package/new.whl", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="artifacts/package/new.whl")
    account.client("s3").put_object(Bucket=bucket, Key=f"{DATA}/published/z", Body=b"x")
    denied(s3.get_object, Bucket=bucket, Key=f"{DATA}/published/z")
    denied(user.client("iam").create_user, UserName="another")


def test_stacks_are_deleted_and_the_next_one_uses_the_kept_bucket() -> None:
    with running_ministack(checks_policies=True) as endpoint:
        account = Account(endpoint)
        bucket = account.create(Stack("data"))["Bucket"]
        account.client("s3").put_object(Bucket=bucket, Key=f"{DATA}/raw/daily_prices/x", Body=b"x")
        account.delete(Stack("data"))
        assert account.client("s3").get_object(Bucket=bucket, Key=f"{DATA}/raw/daily_prices/x")["Body"].read() == b"x"
        with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
            account.client("s3").get_bucket_policy(Bucket=bucket)

        again = Account(endpoint)
        outputs = again.create(Stack("data", {"ExistingBucket": bucket}))
        assert outputs["Bucket"] == bucket
        policy = json.loads(again.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
        assert {one["Sid"] for one in policy["Statement"]} == {"TlsOnly", "OnlyOneRoleDeletesResponses"}
        assert [one["Name"] for one in again.client("s3").list_buckets()["Buckets"]] == [bucket]
