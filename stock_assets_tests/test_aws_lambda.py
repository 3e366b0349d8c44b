"""The Lambda function requests prices for `raw/daily_prices`; only the invocation itself is a fake here."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from time import sleep
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import boto3
import dagster as dg
import dagster_pipes
import pytest
from pydantic import ValidationError

from stock_assets import aws_lambda
from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.ingest_backend import IngestBackend
from stock_assets.backends.lakehouse.ledger import S3Ledger
from stock_assets.backends.lakehouse.objects import BucketFolder
from stock_assets.core.calendar import previous_session
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import FunctionUnverified, Outcome
from stock_assets.ingest.remote_requests import (
    RequestReport,
    RequestTask,
    SymbolReport,
    verified_results,
    verified_splits,
)
from stock_assets.ingest.split_requests import SplitPlan, fetch_splits, plan_splits
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS, Names
from stock_assets.orchestration.lambda_requests import LambdaRequests
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend, stem_of
from stock_assets_tests.support.dagster_internals import pipes_reader
from stock_assets_tests.support.live_source import KEY, live_settings, live_source, symbols
from stock_assets_tests.support.real_daemon import universe_file
from stock_assets_tests.support.steps import parts

FIVE = symbols(5)
LARGE = ["dagster", "pandas", "pyarrow", "exchange_calendars", "pyiceberg", "duckdb", "sqlglot", "sqlalchemy", "numpy"]


class Context:
    """What Lambda passes to a handler."""

    def __init__(self, remaining: int = 900_000) -> None:
        self.remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining


class Account:
    """A pipeline whose prices the function requests, and the function in this process, which stays warm."""

    def __init__(self, folder: Path, aws: AwsEmulator, server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
        athena_backend(aws.endpoint, folder)  # sets the credentials of the emulator
        self.aws, self.server = aws, server
        self.messages = f"messages-{uuid4().hex[:8]}"
        self.s3: Any = boto3.client("s3", endpoint_url=aws.endpoint, region_name=REGION)
        self.s3.create_bucket(Bucket=self.messages)
        secrets = boto3.client("secretsmanager", endpoint_url=aws.endpoint, region_name=REGION)
        secret = secrets.create_secret(Name=uuid4().hex, SecretString=KEY)["Name"]
        shared: dict[str, Any] = {
            "backend": "aws",
            "aws_bucket": BUCKET,
            "aws_region": REGION,
            "aws_prefix": f"tests/{stem_of(folder)}",
            "aws_endpoint_url": aws.endpoint,
            "alpha_vantage_base_url": server.url,
            "alpha_vantage_plan": "premium_1200",
        }
        for name, value in ({"source": "alpha_vantage", "aws_api_key_secret": secret} | shared).items():
            monkeypatch.setenv(f"STOCK_ASSETS_{name.upper()}", value)
        # No run can read the key: only the function knows its secret.
        monkeypatch.delenv("ALPHAVANTAGE_API_KEY", raising=False)
        self.settings = live_settings(
            server,
            folder,
            **shared,
            universe=universe_file(_made(folder), FIVE),
            aws_database=stem_of(folder),
            aws_lambda_function="ingestion",
            aws_pipes_bucket=self.messages,
        )
        self.pipeline = Pipeline.from_settings(self.settings)
        self.instance = dg.DagsterInstance.ephemeral()
        self.invocations: list[dict[str, int]] = []
        self.after: Callable[[], None] = lambda: None
        monkeypatch.setattr(LambdaRequests, "_client", lambda _: self)

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: str) -> dict[str, Any]:  # noqa: N803 (names of the API)
        """Run the handler, as Lambda does; this object is the client of the service."""
        assert (FunctionName, InvocationType) == ("ingestion", "RequestResponse")
        assert KEY not in Payload
        summary = aws_lambda.handler(json.loads(Payload), Context())
        self.invocations.append(summary)
        self.after()
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(summary).encode())}

    def run(self, *, again: bool = False, splits: bool = False) -> dg.ExecuteInProcessResult:
        """Materialize the newest session of the asset, or the splits."""
        asset = Names(self.settings.universe_name).key(RAW_SPLITS if splits else RAW_PRICES)
        job = dg.define_asset_job("raw", selection=dg.AssetSelection.assets(asset))
        definitions = build_definitions(self.settings, pipeline=self.pipeline)
        config = {"request_again": list(FIVE.symbols)} if again else {}
        return (
            dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
            .resolve_job_def("raw")
            .execute_in_process(
                instance=self.instance,
                partition_key=None if splits else self.server.last_session.isoformat(),
                run_config={
                    **({} if splits else {"ops": {"__".join(asset.path): {"config": config}}}),
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=False,
            )
        )

    def limit_calls(self, per_day: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set the vendor's daily quota for the pipeline and the function."""
        monkeypatch.setenv("STOCK_ASSETS_CALLS_PER_DAY", str(per_day))
        self.settings = self.settings.model_copy(update={"calls_per_day": per_day})
        self.pipeline = Pipeline.from_settings(self.settings)

    def stored(self, kind: FetchKind = FetchKind.PRICES) -> list[Fetch]:
        """Return the ledger entries of good responses."""
        return self.pipeline.backend.ledger.fetches(kind, outcome=Outcome.OK)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def account(tmp_path: Path, aws: AwsEmulator, server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> Account:
    """The account; Pipes waits in steps of 1 s for messages that are stored at once here, and 10 s for late ones."""
    monkeypatch.setattr(dagster_pipes, "time", SimpleNamespace(sleep=lambda _: sleep(0.02)))
    monkeypatch.setattr(pipes_reader, "DEFAULT_SLEEP_INTERVAL", 0.02)
    monkeypatch.setattr(pipes_reader, "WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 0)
    return Account(tmp_path / "backend", aws, server, monkeypatch)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    [event] = [event for event in result.all_events if event.is_step_materialization]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def error(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def test_the_function_needs_no_large_library() -> None:
    program = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LARGE}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import stock_assets.aws_lambda, stock_assets.sources.alpha_vantage, stock_assets.backends.lakehouse.secret
from stock_assets.core.calendar import closing_time, sessions_between
from datetime import date
assert len(sessions_between(date(2024, 1, 1), date(2024, 12, 31))) == 252
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_function_imports_only_the_packages_of_its_lock_file_and_boto3() -> None:
    """boto3 is the one of Lambda's runtime."""
    program = """
import sys
before = set(sys.modules)
import stock_assets.aws_lambda, stock_assets.sources.alpha_vantage, stock_assets.backends.lakehouse.secret
import stock_assets.backends.lakehouse.ledger
from importlib.metadata import packages_distributions
packages = packages_distributions()
print(*{package for name in sys.modules.keys() - before for package in packages.get(name.partition(".")[0], ())})
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    lock = (Path(__file__).parents[1] / "infra/aws/lambda.lock").read_text(encoding="utf-8")
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    of_boto3 = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six"}
    # tenacity and urllib3 import them only where they are installed.
    optional = {"tornado", "pysocks"}
    imported = {name.lower().replace("_", "-") for name in done.stdout.split()}
    assert {"requests", "platformdirs"} <= imported
    assert imported - locked - of_boto3 - optional - {"stock-assets"} == set()


def test_the_asset_requests_prices_through_the_function_also_if_it_is_warm(account: Account) -> None:
    first = account.run()
    assert first.success, error(first)
    assert metadata(first)["calls"] == 5
    assert metadata(first)["symbols missing"] == "none"
    stored = account.stored()
    assert sorted(fetch.symbol for fetch in stored) == list(FIVE.symbols)
    for fetch in stored:
        assert fetch.is_response(account.pipeline.backend.objects.get(fetch.response_key))
    vendor = account.pipeline.source.vendor
    assert account.pipeline.backend.rate_limiter.used_calls(vendor, datetime(2000, 1, 1, tzinfo=UTC)) == 5

    assert metadata(account.run())["calls"] == 0
    assert metadata(account.run(again=True))["calls"] == 5
    assert [summary["calls"] for summary in account.invocations] == [5, 0, 5]


# The thread in which Pipes writes messages ends with the injected error.
DENIED = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@DENIED
def test_a_denied_message_writer_fails_the_asset_and_loses_no_response(account: Account) -> None:
    denied = CallFault(f"PUT /{account.messages}/", 403, "AccessDenied", times=1000)
    account.aws.call_faults.append(denied)
    failed = account.run()
    assert not failed.success
    assert f"0 reports arrived in s3://{account.messages}" in error(failed)
    assert len(account.stored()) == 5

    account.aws.call_faults.clear()
    assert metadata(account.run())["calls"] == 0


def test_splits_are_requested_through_the_function_when_they_are_due(account: Account) -> None:
    account.server.splits = {"S02": {"2021-07-20": "4.0000"}}
    first = account.run(splits=True)
    assert first.success, error(first)
    assert (metadata(first)["dagster/row_count"], metadata(first)["symbols missing"]) == (1, "none")
    assert sorted(account.server.requested("SPLITS")) == list(FIVE.symbols)
    stored = account.stored(FetchKind.SPLITS)
    assert sorted(fetch.symbol for fetch in stored) == list(FIVE.symbols)
    vendor = account.pipeline.source.vendor
    assert account.pipeline.backend.rate_limiter.used_calls(vendor, datetime(2000, 1, 1, tzinfo=UTC)) == 5

    assert account.run(splits=True).success
    assert [summary["calls"] for summary in account.invocations] == [5], "nothing is due"


def test_splits_leave_the_calls_of_the_day_that_prices_need(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.limit_calls(100, monkeypatch)
    account.limit_calls(plan_splits(account.pipeline, at=utc_now()).reserve_calls + 2, monkeypatch)
    assert metadata(account.run(splits=True))["symbols missing"] == "S03, S04, S05"
    assert sorted(account.server.requested("SPLITS")) == ["S01", "S02"]


@DENIED
def test_a_denied_message_writer_fails_the_splits_too(account: Account) -> None:
    account.aws.call_faults.append(CallFault(f"PUT /{account.messages}/", 403, "AccessDenied", times=1000))
    assert "raw/splits: the function ingestion ended, and 0 reports arrived" in error(account.run(splits=True))
    assert len(account.stored(FetchKind.SPLITS)) == 5


def two_calls_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the function request two symbols a second for 1.5 s, by a clock that only its own pauses move."""
    clock = FakeClock(utc_now())
    monkeypatch.setattr(aws_lambda, "_MOST_SECONDS", 1.5)
    monkeypatch.setenv("STOCK_ASSETS_CALLS_PER_SECOND", "2")
    monkeypatch.setattr(aws_lambda, "utc_now", clock.now)
    for name in ("fetch_prices", "request_splits"):
        monkeypatch.setattr(aws_lambda, name, partial(getattr(aws_lambda, name), now=clock.now, sleep=clock.sleep))


def test_splits_that_need_more_time_are_requested_by_further_invocations(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_calls_a_second(monkeypatch)
    assert account.run(splits=True).success
    assert len(account.invocations) > 1
    assert sorted(account.server.requested("SPLITS")) == list(FIVE.symbols)


def test_a_reported_response_that_is_not_stored_fails_the_asset(account: Account) -> None:
    def lose_one() -> None:
        backend = account.pipeline.backend
        [lost] = [fetch.response_key for fetch in account.stored() if fetch.symbol == "S03"]
        backend.objects.delete(lost)

    account.after = lose_one
    assert "1 reported response not stored: raw/daily_prices/" in error(account.run())


def test_a_reported_response_without_a_ledger_entry_fails_the_asset(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(ledger: S3Ledger, *fetches: Fetch) -> None:
        ledger.responses += [fetch.response_key for fetch in fetches if fetch.response_key]  # type: ignore[attr-defined]  # of the function's ledger

    monkeypatch.setattr("stock_assets.backends.lakehouse.ingest_backend.AppendedLedger.record", forget)
    assert "5 reported responses not in the ledger" in error(account.run())


def test_symbols_that_need_more_time_are_requested_by_further_invocations(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_calls_a_second(monkeypatch)
    result = account.run()
    assert result.success
    assert metadata(result)["calls"] == 5
    assert len(account.stored()) == 5
    assert len(account.invocations) > 1
    assert [summary["postponed"] > 0 for summary in account.invocations] == [
        *[True] * (len(account.invocations) - 1),
        False,
    ]


@pytest.mark.parametrize(
    ("remaining", "seconds"), [(900_000, 300), (500_000, 300), (499_000, 299.4), (60_000, 36), (0, 0)]
)
def test_requests_begin_in_a_part_of_the_time_of_the_function(
    account: Account, monkeypatch: pytest.MonkeyPatch, remaining: int, seconds: float
) -> None:
    given: list[float] = []

    def request(settings: Settings, task: RequestTask, seconds: float) -> RequestReport:
        del settings, task
        given.append(seconds)
        return RequestReport(symbols=(), responses=())

    monkeypatch.setattr(aws_lambda, "_request", request)
    aws_lambda.handler({}, Context(remaining))
    assert given == [pytest.approx(seconds)]


def test_a_function_without_time_for_one_request_fails_the_asset(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_lambda, "_MOST_SECONDS", 0.0)
    assert "ended without a response, and 5 symbols wait" in error(account.run())


def test_a_schedule_invokes_the_function_without_dagster(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_ASSETS_UNIVERSE", str(account.settings.universe))
    summary = aws_lambda.handler({"task": {"latest_sessions": 2}}, Context())
    assert summary == {"symbols": 5, "responses": 5, "calls": 5, "postponed": 0}
    assert all(fetch.holds(previous_session(account.server.last_session)) for fetch in account.stored())
    assert account.s3.list_objects_v2(Bucket=account.messages).get("Contents", []) == []


def test_the_function_stores_the_responses_of_a_universe_in_its_folder_and_counts_their_calls_together(
    account: Account,
) -> None:
    named = account.settings.model_copy(update={"universe_name": "banks", "aws_universes": ("default", "banks")})
    body = Path(str(account.settings.universe)).read_bytes()
    account.s3.put_object(Bucket=BUCKET, Key="artifacts/universes/banks.csv", Body=body)
    first = account.run()
    account.settings, account.pipeline = named, Pipeline.from_settings(named)
    second = account.run()
    assert first.success, error(first)
    assert second.success, error(second)
    assert metadata(second)["calls"] == 5, "the responses of the other universe are not used"
    assert sorted(fetch.symbol for fetch in account.stored()) == list(FIVE.symbols)
    prefix = f"{account.settings.aws_prefix}/alpha_vantage"
    keys = [one["Key"] for one in account.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")["Contents"]]
    responses = [key.removeprefix(f"{prefix}/").split("raw/")[0] for key in keys if "/raw/daily_prices/" in key]
    assert sorted(responses) == [""] * 5 + ["universes/banks/"] * 5
    vendor = account.pipeline.source.vendor
    assert account.pipeline.backend.rate_limiter.used_calls(vendor, datetime(2000, 1, 1, tzinfo=UTC)) == 10
    assert [key for key in keys if "/quota/" in key] == [key for key in keys if key.startswith(f"{prefix}/quota/")]


def test_a_task_cannot_name_a_folder_elsewhere(account: Account) -> None:
    with pytest.raises(ValidationError, match="universe"):
        aws_lambda.handler({"task": {"universe": "../recorded"}}, Context())
    assert account.server.requested("TIME_SERIES_DAILY") == []


def test_a_task_of_a_universe_without_its_symbols_requests_nothing(account: Account) -> None:
    with pytest.raises(ValidationError, match=r"universe banks without its symbols.*Add `listings`"):
        aws_lambda.handler({"task": {"universe": "banks"}}, Context())
    assert account.server.requested("TIME_SERIES_DAILY") == []


def test_the_function_packs_no_ledger_entries_and_a_later_run_does(account: Account) -> None:
    settings = Settings.from_env()
    folder = BucketFolder(BUCKET, f"{settings.aws_prefix}/packing")
    written = IngestBackend(AwsAccess(**settings.aws_options), folder)  # as the function constructs it
    now = datetime.now(UTC)
    for number in range(5):
        written.ledger.record(Fetch(f"S{number}", FetchKind.PRICES, now, Outcome.EMPTY))
    keys = "ledger/daily_prices/"
    assert len(written.ledger.fetches(FetchKind.PRICES)) == len(written.objects.keys(keys)) == 5

    later = S3Ledger(written.objects, pack_after=3)  # type: ignore[arg-type]  # the objects of a bucket
    assert len(later.fetches(FetchKind.PRICES)) == 5
    assert len(written.objects.keys(keys)) == 1
    assert len(written.ledger.fetches(FetchKind.PRICES)) == 5


def report(symbol: str) -> SymbolReport:
    return SymbolReport(symbol=symbol, outcome=Outcome.OK, calls=1, detail="", postponed=False)


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        (FIVE.symbols, r"S01 is reported as complete, and 2024-03-01 is missing"),
        (FIVE.symbols[1:], "no report about S01"),
    ],
    ids=["a symbol that is not complete", "a symbol without a report"],
)
def test_a_report_that_contradicts_the_ledger_is_an_error(
    backend: Backend, server: VendorServer, reported: Sequence[str], message: str
) -> None:
    given = parts(backend, live_source(server), FIVE)
    with pytest.raises(FunctionUnverified, match=message):
        verified_results(given, [date(2024, 3, 1)], [report(symbol) for symbol in reported], [])


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        (FIVE.symbols, r"raw/splits: .* S01 is reported as ok, and it was never requested"),
        (FIVE.symbols[1:], "no report about S01"),
    ],
    ids=["a symbol without an entry", "a symbol without a report"],
)
def test_a_report_about_splits_that_contradicts_the_ledger_is_an_error(
    backend: Backend, server: VendorServer, reported: Sequence[str], message: str
) -> None:
    given, plan = parts(backend, live_source(server), FIVE), SplitPlan(FIVE.symbols, 0, {})
    with pytest.raises(FunctionUnverified, match=message):
        verified_splits(given, plan, [report(symbol) for symbol in reported], [])


def test_an_older_response_does_not_prove_a_report_about_splits(backend: Backend, server: VendorServer) -> None:
    given, plan = parts(backend, live_source(server), symbols(1)), SplitPlan(("S01",), 0, {})
    fetch_splits(given)
    [older] = backend.ledger.fetches(FetchKind.SPLITS)
    with pytest.raises(
        FunctionUnverified, match=f"S01 is reported as ok, and its newest response is {older.response_key}"
    ):
        verified_splits(given, plan, [report("S01")], [])
    assert verified_splits(given, plan, [report("S01")], [older.response_key]) == {"S01": older}
