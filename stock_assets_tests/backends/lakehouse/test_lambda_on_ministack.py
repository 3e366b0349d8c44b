"""The Lambda function from its zip file, with its template's role in force, and Firehose, on ministack.

The emulator runs the function in a process of this machine's Python, so the file is built for it. It delivers each
record of Firehose at once and uncompressed, where AWS waits for 5 MiB or 60 seconds: a test cannot show that.
"""

import json
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import boto3
import dagster as dg
import pytest
import yaml
from botocore.exceptions import ClientError

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.ingest_backend import IngestBackend
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.core.errors import FunctionUnverified, Outcome
from stock_assets.core.sql import bundled
from stock_assets.deployment.lambda_zip import LARGEST_BYTES, build
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.ledger_queries import known_splits
from stock_assets.ingest.price_requests import ALL_MISSING, RequestRules, SymbolResult
from stock_assets.ingest.response_keys import request_time
from stock_assets.ingest.split_requests import SplitPlan
from stock_assets.orchestration.lambda_requests import LambdaRequests
from stock_assets_tests.emulators.athena.names import CREDENTIALS, REGION
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.live_source import KEY, live_source, symbols
from stock_assets_tests.support.ministack import HOW_TO_INSTALL, PROGRAM, running_ministack, runtime_of_lambda
from stock_assets_tests.support.steps import as_pipeline, parts

pytestmark = [
    pytest.mark.ministack,
    pytest.mark.skipif(not PROGRAM.exists(), reason=HOW_TO_INSTALL),
]

T = TypeVar("T")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BUCKET, MESSAGES, PREFIX = "prices", "messages", "stock_assets/alpha_vantage"
FIVE = symbols(5)
ROLE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def allow(*statements: tuple[list[str], list[str]]) -> str:
    """Return a policy that allows actions on resources."""
    found = [{"Effect": "Allow", "Action": actions, "Resource": resources} for actions, resources in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": found})


DATA = (
    (["s3:ListBucket"], [f"arn:aws:s3:::{BUCKET}"]),
    (
        ["s3:GetObject", "s3:PutObject"],
        [f"arn:aws:s3:::{BUCKET}/{PREFIX}/{name}" for name in ("raw/*", "ledger/*", "quota/*", "layout.json")],
    ),
    (["secretsmanager:GetSecretValue"], ["*"]),
)
WRITE_MESSAGES = (["s3:PutObject"], [f"arn:aws:s3:::{MESSAGES}/*"])
"""The statements of FunctionRole in infra/aws/ingestion.yaml."""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("zip") / "function.zip"
    options = {"python": VERSION, "platform": f"manylinux2014_{platform.machine()}"}
    assert build(target, **options) < LARGEST_BYTES
    first = target.read_bytes()
    build(target, **options)
    assert target.read_bytes() == first, "equal inputs, another file"
    return first


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runtime_of_lambda(tmp_path_factory.mktemp("runtime"))


class Account:
    """An account with bucket, secret and function, in which policies are in force."""

    def __init__(self, endpoint: str, server: VendorServer, code: bytes, runtime: Path) -> None:
        self.endpoint = endpoint
        self.iam, self.functions = self.client("iam"), self.client("lambda")
        for bucket in (BUCKET, MESSAGES):
            self.client("s3").create_bucket(Bucket=bucket)
        secret = self.client("secretsmanager").create_secret(Name="prices/key", SecretString=KEY)["Name"]
        role = self.iam.create_role(RoleName="function", AssumeRolePolicyDocument=json.dumps(ROLE_TRUST))["Role"]["Arn"]
        self.permit(*DATA, WRITE_MESSAGES)
        environment = {
            "PYTHONPATH": str(runtime),
            "STOCK_ASSETS_BACKEND": "aws",
            "STOCK_ASSETS_SOURCE": "alpha_vantage",
            "STOCK_ASSETS_AWS_BUCKET": BUCKET,
            "STOCK_ASSETS_AWS_REGION": REGION,
            "STOCK_ASSETS_AWS_ENDPOINT_URL": endpoint,
            "STOCK_ASSETS_AWS_API_KEY_SECRET": secret,
            "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL": server.url,
            "STOCK_ASSETS_ALPHA_VANTAGE_PLAN": "premium_1200",
        }
        self.functions.create_function(
            FunctionName="ingestion",
            Runtime=f"python{VERSION}",
            Role=role,
            Handler="stock_assets.aws_lambda.handler",
            Code={"ZipFile": code},
            Timeout=120,
            Environment={"Variables": environment},
        )
        self.access = AwsAccess(region=REGION, endpoint_url=endpoint)
        backend = IngestBackend(self.access, BucketFolder(BUCKET, PREFIX))
        self.pipeline = as_pipeline(parts(backend, live_source(server), FIVE))
        self.sessions = [server.last_session]

    def client(self, service: str) -> Any:  # noqa: ANN401 (boto3 makes its clients' classes at run time)
        return boto3.Session().client(service, endpoint_url=self.endpoint, region_name=REGION)

    def permit(self, *statements: tuple[list[str], list[str]]) -> None:
        """Replace the policy of the function's role."""
        self.iam.put_role_policy(RoleName="function", PolicyName="ingestion", PolicyDocument=allow(*statements))

    def fetch(self, rules: RequestRules = ALL_MISSING) -> list[SymbolResult]:
        """Request prices through the function."""
        return self._run(lambda function, context: function.fetch(context, self.pipeline, self.sessions, rules))

    def fetch_splits(self) -> dict[str, str]:
        """Request splits through the function."""
        return self._run(lambda function, context: function.fetch_splits(context, self.pipeline))

    def _run(self, request: Callable[[LambdaRequests, dg.AssetExecutionContext], T]) -> T:
        """Use the function inside a step of Dagster."""
        found: list[T] = []
        problems: list[Exception] = []

        @dg.asset
        def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            try:
                found.append(request(LambdaRequests(self.access, "ingestion", MESSAGES), context))
            except FunctionUnverified as error:
                problems.append(error)
            return dg.MaterializeResult()

        assert dg.materialize([asset]).success
        if problems:
            raise problems[0]
        return found[0]


@pytest.fixture
def account(server: VendorServer, code: bytes, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "test")  # the emulator's credentials with all permissions
    with running_ministack(checks_policies=True) as endpoint:
        yield Account(endpoint, server, code, runtime)


def test_the_function_requests_prices_twice_and_splits_and_a_denied_message_fails_the_asset(
    account: Account, server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = account.fetch()
    assert [(result.symbol, result.outcome, result.calls) for result in results] == [
        (symbol, Outcome.OK, 1) for symbol in FIVE.symbols
    ]
    backend = account.pipeline.backend
    for fetch in backend.ledger.fetches(FetchKind.PRICES, outcome=Outcome.OK):
        assert fetch.is_response(backend.objects.get(fetch.response_key))

    again = account.fetch(RequestRules(again=frozenset({"S02"})))
    assert [result.calls for result in again] == [0, 1, 0, 0, 0]

    # The backend of this test has no tables, from which the plan follows.
    plan = SplitPlan(FIVE.symbols[:3], 0, {})
    monkeypatch.setattr("stock_assets.orchestration.lambda_requests.plan_splits", lambda *_, **__: plan)
    server.splits = {"S02": {"2021-07-20": "4.0000"}}
    assert account.fetch_splits() == {}
    assert {symbol: len(splits) for symbol, splits in known_splits(account.pipeline).items()} == {
        "S01": 0, "S02": 1, "S03": 0,
    }  # fmt: skip

    account.permit(*DATA)
    with pytest.raises(FunctionUnverified, match=f"0 reports arrived in s3://{MESSAGES}"):
        account.fetch(RequestRules(again=frozenset({"S03"})))
    entries = backend.ledger.fetches(FetchKind.PRICES, symbol="S03", outcome=Outcome.OK)
    assert len(entries) == 2, "the responses are stored all the same"


def test_the_role_reaches_its_secret_responses_and_ledger_and_nothing_else(account: Account) -> None:
    account.client("s3").put_object(Bucket=BUCKET, Key=f"{PREFIX}/published/daily_prices/a", Body=b"")
    role = account.client("sts").assume_role(
        RoleArn=account.iam.get_role(RoleName="function")["Role"]["Arn"], RoleSessionName="test"
    )["Credentials"]
    s3 = boto3.client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=REGION,
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/raw/daily_prices/a", Body=b"")
    denied: list[Callable[[], object]] = [
        lambda: s3.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/raw/daily_prices/a"),
        lambda: s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/published/daily_prices/a"),
        lambda: s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/published/daily_prices/b", Body=b""),
        lambda: s3.get_object(Bucket=MESSAGES, Key="a"),
    ]
    for call in denied:
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


def test_firehose_delivers_into_the_folders_of_the_template(account: Account) -> None:
    template = yaml.safe_load(bundled("infra/aws").joinpath("ingestion.yaml").read_text(encoding="utf-8"))
    destination = template["Resources"]["DeliveryStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    values = {"${Prefix}": "stock_assets", "${Source}": "alpha_vantage"}
    prefix = destination["Prefix"]["Fn::Sub"]
    for name, value in values.items():
        prefix = prefix.replace(name, value)
    firehose = account.client("firehose")
    firehose.create_delivery_stream(
        DeliveryStreamName="prices",
        ExtendedS3DestinationConfiguration={
            "RoleARN": account.iam.get_role(RoleName="function")["Role"]["Arn"],
            "BucketARN": f"arn:aws:s3:::{BUCKET}",
            "Prefix": prefix,
        },
    )
    record = {"symbol": "S01", "date": "2024-03-01", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    firehose.put_record(DeliveryStreamName="prices", Record={"Data": f"{json.dumps(record)}\n".encode()})

    scope = LandingScope(date(2024, 1, 1), date(2024, 12, 31))
    found = scan(account.pipeline, scope, at=datetime.now(UTC) + timedelta(minutes=2))
    [file] = found.landing_files
    now = datetime.now(UTC)
    folders = {
        f"raw/daily_prices/ingest_date={hour:%Y-%m-%d}/firehose/{hour:%Y/%m/%d/%H}/"
        for hour in (now, now - timedelta(minutes=5))
    }
    assert file.entry.key.rpartition("/")[0] + "/" in folders
    assert request_time(file.entry.key) is None, "it would count as the response to a request"
    assert [response.fetch.symbol for response in file.responses] == ["S01"]
    assert file.sessions == (date(2024, 3, 1),)
