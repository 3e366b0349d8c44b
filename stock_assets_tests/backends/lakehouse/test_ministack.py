"""Objects, ledger, rate limiter, secret, topic and Dagster's logs on ministack, a second AWS emulator.

The suites are those of every backend, with another endpoint. Run by `make test-ministack`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import boto3
import dagster as dg
import pytest
import yaml
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

from stock_assets.alerts.channels import SnsTopic
from stock_assets.alerts.deduplication import Notifier
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.interface import Backend, RateLimiter
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.backends.lakehouse.secret import SecretsManagerKey
from stock_assets.core.errors import AlertUndelivered, SettingsError
from stock_assets.core.sql import bundled
from stock_assets_tests.contracts.fetch_ledger_contract import FetchLedgerContract
from stock_assets_tests.contracts.objects_contract import ObjectsContract
from stock_assets_tests.contracts.packed_ledger_contract import PackedLedgerContract, open_ledger
from stock_assets_tests.contracts.rate_limiter_contract import RateLimiterContract
from stock_assets_tests.emulators.athena.names import BUCKET, REGION
from stock_assets_tests.support.athena_backends import athena_backend, make_bucket
from stock_assets_tests.support.backend_cases import BackendCase
from stock_assets_tests.support.dagster_internals import ComputeIOType
from stock_assets_tests.support.incidents import AT, INCIDENT
from stock_assets_tests.support.live_source import KEY
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack
from stock_assets_tests.support.rate_limiters import RateLimiterCase, s3_case
from stock_assets_tests.support.small_files import scatter_on_aws

pytestmark = [
    pytest.mark.ministack,
    pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL),
]


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    with running_ministack() as endpoint:
        make_bucket(endpoint)
        yield endpoint


@pytest.fixture
def case(ministack: str) -> BackendCase:
    return BackendCase(
        "ministack",
        partial(athena_backend, ministack),
        "stock_assets.backends.lakehouse.warehouse",
        partial(scatter_on_aws, partial(athena_backend, ministack)),
    )


@pytest.fixture
def backend(case: BackendCase, tmp_path: Path) -> Backend:
    """Replaces the local backend that other tests get from the fixture of this name."""
    return case.make(tmp_path / "backend")


@pytest.fixture
def limiter_case(ministack: str, tmp_path: Path) -> RateLimiterCase:
    return s3_case(ministack, tmp_path)


@pytest.fixture
def limiter(limiter_case: RateLimiterCase) -> RateLimiter:
    return limiter_case.open()


@pytest.fixture
def objects(backend: AthenaBackend) -> S3Objects:
    return S3Objects(backend.access, BucketFolder(backend.bucket, backend.prefix))


@pytest.fixture
def opened(objects: S3Objects) -> Callable[[], S3Ledger]:
    """Return a function that opens the ledger as a new process does."""
    return partial(open_ledger, objects)


class TestObjects(ObjectsContract):
    """`Objects`."""


class TestFetchLedger(FetchLedgerContract):
    """`FetchLedger`."""


class TestPackedLedger(PackedLedgerContract):
    """The ledger in S3, packed when it is long."""


class TestRateLimiter(RateLimiterContract):
    """`RateLimiter`, with its calls in S3."""


def test_a_put_with_an_etag_replaces_only_that_version(objects: S3Objects) -> None:
    assert objects.put_if("a", b"1", etag=None)
    _, first = objects.get_version("a")
    assert objects.put_if("a", b"2", etag=first)
    assert not objects.put_if("a", b"3", etag=first)
    assert not objects.put_if("never there", b"1", etag=first)
    assert objects.get("a") == b"2"


def test_more_objects_than_one_page_are_listed_and_removed(objects: S3Objects) -> None:
    for number in range(1005):
        objects.put(f"many/{number:04d}", b"")
    assert objects.keys("many/") == [f"many/{number:04d}" for number in range(1005)]
    objects.delete_all("many/")
    assert objects.keys("many/") == []


def test_objects_are_encrypted_with_the_configured_key(backend: AthenaBackend) -> None:
    s3 = backend.access.client("s3")
    key = s3_key(backend)
    backend.objects.put("raw/a", b"body")
    assert s3.head_object(Bucket=BUCKET, Key=f"{backend.prefix}/raw/a")["ServerSideEncryption"] == "AES256"

    replace(backend, kms_key=key).objects.put("raw/b", b"body")

    found = s3.head_object(Bucket=BUCKET, Key=f"{backend.prefix}/raw/b")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


def s3_key(backend: AthenaBackend) -> str:
    """Create a KMS key; ministack, like S3, rejects an unknown key."""
    return str(backend.access.client("kms").create_key()["KeyMetadata"]["Arn"])


def test_the_api_key_is_read_from_a_secret(ministack: str) -> None:
    secrets = boto3.client("secretsmanager", region_name=REGION, endpoint_url=ministack)
    secrets.create_secret(Name="prices/key", SecretString=json.dumps({"ALPHAVANTAGE_API_KEY": KEY}))
    access = AwsAccess(region=REGION, endpoint_url=ministack)
    assert SecretsManagerKey(access, "prices/key", "ALPHAVANTAGE_API_KEY").read() == KEY

    with pytest.raises(SettingsError, match="There is no secret prices/none"):
        SecretsManagerKey(access, "prices/none", "ALPHAVANTAGE_API_KEY").read()


def test_a_message_reaches_a_queue_through_the_topic(ministack: str, backend: AthenaBackend) -> None:
    sns, sqs = (boto3.client(name, region_name=REGION, endpoint_url=ministack) for name in ("sns", "sqs"))
    arn = sns.create_topic(Name="alerts")["TopicArn"]
    queue = sqs.create_queue(QueueName="received")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
    notifier = Notifier(backend, [SnsTopic(arn, endpoint_url=ministack)])

    for _ in range(2):
        assert notifier.notify(INCIDENT, AT) == []
    assert notifier.resolve(INCIDENT.reference, AT, "run 2 has succeeded") == []

    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)["Messages"]
    bodies = [json.loads(message["Body"]) for message in received]
    assert sorted(body["Subject"] for body in bodies) == [f"Resolved: {INCIDENT.title}", INCIDENT.title]
    assert all(body["TopicArn"] == arn and INCIDENT.title in body["Message"] for body in bodies)
    with pytest.raises(AlertUndelivered, match="STOCK_ASSETS_ALERT_TOPIC_ARN"):
        SnsTopic(f"{arn}2", endpoint_url=ministack).send(INCIDENT.message(AT))


def test_dagster_writes_the_logs_of_a_run_into_the_bucket(
    ministack: str, backend: AthenaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the configuration of `infra/aws/dagster.yaml`; only the endpoint is the emulator's."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("STOCK_ASSETS_DAGSTER_LOG_BUCKET", BUCKET)
    production = yaml.safe_load(bundled("infra/aws").joinpath("dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"compute_logs": production["compute_logs"]}))

    @dg.asset
    def loud() -> None:
        print("a line of the run")  # noqa: T201 (the output that the test looks for)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        result = dg.materialize([loud], instance=instance)
        manager = instance.compute_log_manager
        assert isinstance(manager, S3ComputeLogManager)
        [key] = {
            tuple(log_key)
            for log_key in manager.get_log_keys_for_log_key_prefix(
                [result.run_id, "compute_logs"], io_type=ComputeIOType.STDOUT
            )
        }
        captured = manager.get_log_data(list(key))

    assert captured.stdout is not None
    assert b"a line of the run" in captured.stdout
    s3 = backend.access.client("s3")
    found = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="dagster/")["Contents"]]
    [written] = [name for name in found if result.run_id in name and name.endswith(".out")]
    assert b"a line of the run" in s3.get_object(Bucket=BUCKET, Key=written)["Body"].read()
