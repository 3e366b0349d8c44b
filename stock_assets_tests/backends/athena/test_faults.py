"""Failures on AWS, through the real clients: the right error, no partly published table, nothing left behind."""

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.athena.engine import AthenaEngine, AthenaWorkgroup
from stock_assets.core.errors import (
    AccessRefused,
    ConcurrentPublish,
    EngineBusy,
    ObjectExists,
    QueryCancelled,
    QueryFailed,
    QueryTimedOut,
    ScanLimitExceeded,
    ServiceUnavailable,
    SettingsError,
    TableDrift,
)
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault, QueryFault
from stock_assets_tests.emulators.athena.names import WORKGROUP
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.dagster_internals import DagsterExecutionInterruptedError, raise_interrupts_as
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.table_rows import FIRST, PROPERTIES, SECOND, publish, published

pytestmark = pytest.mark.slow

COMMIT_CONFLICT = "ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table: daily_prices"
OLD, NEW = [("IBM", FIRST, 101.0)], [("IBM", FIRST, 55.0)]


@pytest.fixture
def backend(tmp_path: Path, aws: AwsEmulator) -> AthenaBackend:
    """A backend with one published row."""
    made = athena_backend(aws.endpoint, tmp_path / "backend")
    publish(made, [price_row("IBM", FIRST)], FIRST, FIRST)
    made.warehouse.drop_staging("load_1")
    aws.forget()
    return made


@pytest.fixture
def engine(backend: AthenaBackend) -> AthenaWorkgroup:
    return AthenaWorkgroup(backend.access, WORKGROUP, backend.results, poll_seconds=0.02)


def run(engine: AthenaWorkgroup, statement: str = "SELECT 1 AS one") -> None:
    AthenaEngine(engine, pause=lambda _: None).run(statement)


def other_backend(backend: AthenaBackend, fields: Mapping[str, object]) -> AthenaBackend:
    """Return a new backend with other settings; it shares no cached parts with the original."""
    return replace(backend, **fields)  # type: ignore[arg-type]  # fields by name


def publish_new(backend: AthenaBackend) -> int:
    return publish(backend, [price_row("IBM", FIRST, 55.0)], FIRST, FIRST)


def staged_tables(backend: AthenaBackend, aws: AwsEmulator) -> list[str]:
    tables = aws.engine.glue.get_tables(DatabaseName=f"{backend.database}_staged")["TableList"]
    return [table["Name"] for table in tables]


def staged(backend: AthenaBackend, aws: AwsEmulator) -> list[str]:
    """Return everything that staging has left in the catalog and in the bucket."""
    return [
        *staged_tables(backend, aws),
        *backend.objects.keys("staged/tables/"),
        *backend.objects.keys("staged/inputs/"),
    ]


def test_a_throttled_start_is_retried(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    fault = CallFault("StartQueryExecution", 400, "ThrottlingException", times=2)
    aws.call_faults.append(fault)

    run(engine)

    assert fault.times == 0


def test_endless_throttling_is_a_transient_error(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    aws.call_faults.append(CallFault("StartQueryExecution", 400, "TooManyRequestsException", times=1000))

    with pytest.raises(EngineBusy, match="TooManyRequestsException") as raised:
        run(replace(engine, access=engine.access.model_copy(update={"attempts": 1})))

    assert raised.value.transient


@pytest.mark.parametrize("retryable", [True, False])
def test_only_a_retryable_failure_is_retried(aws: AwsEmulator, engine: AthenaWorkgroup, *, retryable: bool) -> None:
    fault = QueryFault("SELECT 1", "SOMETHING: broke", times=2, retryable=retryable)
    aws.query_faults.append(fault)
    if retryable:
        run(engine)
    else:
        with pytest.raises(QueryFailed, match="SOMETHING: broke"):
            run(engine)

    assert fault.times == (0 if retryable else 1)


def test_an_error_contains_id_reason_and_link(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    with pytest.raises(QueryFailed) as raised:
        run(engine, "SELECT * FROM nowhere.nothing")

    [query_id] = aws.queries
    assert f"Athena query {query_id}: TABLE_NOT_FOUND" in str(raised.value)
    assert f"#/query-editor/history/{query_id}" in str(raised.value)
    assert "SELECT * FROM nowhere.nothing" in str(raised.value)


def test_a_query_that_takes_too_long_is_stopped(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    aws.query_faults.append(QueryFault("SELECT 1", hangs=True))

    with pytest.raises(QueryTimedOut, match="STOCK_ASSETS_AWS_QUERY_TIMEOUT_SECONDS"):
        run(replace(engine, timeout_seconds=0.1))

    assert aws.running == []


def test_a_query_that_reads_too_much_is_stopped(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    aws.query_faults.append(QueryFault("SELECT 1", hangs=True, scanned_bytes=2_000_000))

    with pytest.raises(ScanLimitExceeded, match="it may read 1,000,000 bytes"):
        run(replace(engine, scan_limit=1_000_000))

    assert aws.running == []


def test_the_scan_limit_of_the_workgroup_raises_scan_limit_exceeded(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    aws.query_faults.append(QueryFault("SELECT 1", "Query cancelled! : Bytes scanned limit was exceeded"))

    with pytest.raises(ScanLimitExceeded, match="the workgroup sets the limit"):
        run(engine)


def test_a_query_that_somebody_else_stopped_raises_query_cancelled(aws: AwsEmulator, engine: AthenaWorkgroup) -> None:
    aws.query_faults.append(QueryFault("SELECT 1", first=lambda: aws.stop(next(iter(aws.queries)))))

    with pytest.raises(QueryCancelled):
        run(engine)


def test_an_unknown_workgroup_names_the_settings(engine: AthenaWorkgroup) -> None:
    with pytest.raises(SettingsError, match="STOCK_ASSETS_AWS_WORKGROUP"):
        run(replace(engine, workgroup="nobodys"))


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException", "AccessDeniedException"])
def test_rejected_credentials_raise_access_refused(aws: AwsEmulator, engine: AthenaWorkgroup, code: str) -> None:
    aws.call_faults.append(CallFault("StartQueryExecution", 400, code))

    with pytest.raises(AccessRefused, match=code):
        run(engine)


def test_expired_credentials_at_s3_and_glue_raise_access_refused(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.call_faults.append(CallFault("GET /stock-assets-tests", 400, "ExpiredToken"))
    with pytest.raises(AccessRefused, match="ExpiredToken"):
        backend.objects.keys("raw/")
    aws.call_faults.append(CallFault("AWSGlue.GetTable", 400, "ExpiredTokenException"))
    with pytest.raises(AccessRefused, match="ExpiredTokenException"):
        backend.warehouse.history(DAILY_PRICES)


def test_slow_down_of_s3_is_retried(aws: AwsEmulator, backend: AthenaBackend) -> None:
    fault = CallFault("PUT /stock-assets-tests", 503, "SlowDown", times=2)
    aws.call_faults.append(fault)

    backend.objects.put("raw/a", b"body")

    assert (fault.times, backend.objects.get("raw/a")) == (0, b"body")


@pytest.mark.slow
def test_endless_slow_down_of_s3_is_a_transient_error(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.call_faults.append(CallFault("PUT /stock-assets-tests", 503, "SlowDown", times=1000))

    with pytest.raises(ServiceUnavailable, match="SlowDown"):
        backend.objects.put("raw/a", b"body")


def test_a_repeated_put_of_the_same_writer_succeeds(
    aws: AwsEmulator, backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a response is lost, boto3 sends the put again, and S3 rejects it since the first put stored the object."""
    client = backend.access.client("s3")
    send = client.put_object

    def twice(**request: object) -> object:
        send(**request)
        return send(**request)

    monkeypatch.setattr(client, "put_object", twice)
    backend.objects.put("raw/a", b"body")
    monkeypatch.undo()

    with pytest.raises(ObjectExists):
        backend.objects.put("raw/a", b"body")


def _query(reason: str = "", **how: Any) -> Callable[[AwsEmulator, str], None]:  # noqa: ANN401 (of QueryFault)
    """Let every matching query fail."""
    return lambda aws, statement: aws.query_faults.append(QueryFault(statement, reason, times=100, **how))


def _call(target: str, status: int, code: str, times: int = 1) -> Callable[[AwsEmulator, str], None]:
    """Let calls fail after a matching query has started."""

    def order(aws: AwsEmulator, statement: str) -> None:
        fault = CallFault(target, status, code, times=times)
        begun = lambda: aws.call_faults.extend([] if aws.call_faults else [fault])  # noqa: E731 (a function of one expression)
        aws.query_faults.append(QueryFault(statement, times=100, hangs=True, first=begun))

    return order


def _stopped_by_another(aws: AwsEmulator, statement: str) -> None:
    aws.query_faults.append(QueryFault(statement, first=lambda: aws.stop(list(aws.queries)[-1])))


FAULTS: dict[str, tuple[type[Exception], Callable[[AwsEmulator, str], None], dict[str, object]]] = {
    "the query fails": (QueryFailed, _query("GENERIC_INTERNAL: no"), {}),
    "a table is missing": (QueryFailed, _query("TABLE_NOT_FOUND: line 1:15: Table 'x.y' does not exist"), {}),
    "S3 throttles": (EngineBusy, _query("HIVE_CANNOT_OPEN_SPLIT: SlowDown (Status Code: 503)"), {}),
    "Athena has no capacity": (EngineBusy, _query("Query exhausted resources at this scale factor"), {}),
    "it takes too long": (QueryTimedOut, _query(hangs=True), {"query_timeout_seconds": 0.3}),
    "it reads too much": (ScanLimitExceeded, _query(hangs=True, scanned_bytes=10**9), {"scan_limit": 10**7}),
    "the workgroup stops it for its bytes": (
        ScanLimitExceeded,
        _query("Query cancelled! : Bytes scanned limit was exceeded"),
        {},
    ),
    "somebody else stops it": (QueryCancelled, _stopped_by_another, {}),
    "status requests are throttled": (EngineBusy, _call("GetQueryExecution", 400, "ThrottlingException", 1000), {}),
    "credentials expire meanwhile": (AccessRefused, _call("GetQueryExecution", 400, "ExpiredTokenException"), {}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("statement", ["^CREATE TABLE", "^MERGE"])
def test_after_any_fault_nothing_is_partly_published_or_left_running(
    aws: AwsEmulator, backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch, statement: str, fault: str
) -> None:
    monkeypatch.setattr("stock_assets.backends.lakehouse.sql_engine._LONGEST_PAUSE_SECONDS", 0.01)
    kind, order, limits = FAULTS[fault]
    order(aws, statement)
    with pytest.raises(kind) as raised:
        publish_new(other_backend(backend, limits))
    assert type(raised.value) is kind
    assert aws.running == []

    aws.query_faults.clear()
    aws.call_faults.clear()
    assert published(backend) == OLD
    if statement == "^CREATE TABLE":
        assert staged(backend, aws) == []
    backend.warehouse.drop_staging("load_1")
    assert staged(backend, aws) == []
    publish_new(backend)
    assert published(backend) == NEW


def test_an_unknown_workgroup_stages_nothing(aws: AwsEmulator, backend: AthenaBackend) -> None:
    with pytest.raises(SettingsError, match="STOCK_ASSETS_AWS_WORKGROUP"):
        publish_new(other_backend(backend, {"workgroup": "nobodys"}))

    assert (published(backend), staged(backend, aws)) == (OLD, [])


def test_credentials_that_expired_before_a_statement_stage_nothing(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.call_faults.append(CallFault("StartQueryExecution", 400, "ExpiredTokenException"))
    with pytest.raises(AccessRefused, match="ExpiredTokenException"):
        publish_new(backend)

    assert (published(backend), staged(backend, aws)) == (OLD, [])


def test_a_missing_staging_table_fails_the_publish(aws: AwsEmulator, backend: AthenaBackend) -> None:
    def remove() -> None:
        [name] = [key for key in staged_tables(backend, aws) if "__daily_prices__" in key]
        aws.engine.glue.delete_table(DatabaseName=f"{backend.database}_staged", Name=name)

    aws.query_faults.append(QueryFault("^MERGE", first=remove))
    with pytest.raises(QueryFailed, match="TABLE_NOT_FOUND"):
        publish_new(backend)

    assert published(backend) == OLD
    backend.warehouse.drop_staging("load_1")
    assert staged(backend, aws) == []


def test_two_commit_conflicts_are_retried(aws: AwsEmulator, backend: AthenaBackend) -> None:
    fault = QueryFault("^MERGE", COMMIT_CONFLICT, times=2)
    aws.query_faults.append(fault)

    publish_new(backend)

    assert fault.times == 0
    assert published(backend) == NEW
    assert len(backend.warehouse.history(DAILY_PRICES)) == 2


def test_endless_commit_conflicts_raise_concurrent_publish(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.query_faults.append(QueryFault("^MERGE", COMMIT_CONFLICT, times=100))

    with pytest.raises(ConcurrentPublish):
        publish_new(backend)

    aws.query_faults.clear()
    assert published(backend) == OLD


def test_a_commit_just_before_the_merge_raises_concurrent_publish(
    aws: AwsEmulator, backend: AthenaBackend, tmp_path: Path
) -> None:
    """Only the MERGE itself can detect this commit."""
    other = athena_backend(aws.endpoint, tmp_path / "backend")

    def intrude() -> None:
        with other.warehouse.connect("load_2") as sql:
            stage_rows(sql, [price_row("MSFT", SECOND)])
            sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=SECOND, last=SECOND, properties=PROPERTIES)

    aws.query_faults.append(QueryFault("^MERGE", first=intrude))

    with pytest.raises(ConcurrentPublish):
        publish_new(backend)

    assert published(backend) == [*OLD, ("MSFT", SECOND, 101.0)]


@pytest.mark.parametrize("statement", ["^CREATE TABLE", "^MERGE"])
def test_a_failed_statement_publishes_nothing_and_leaves_no_orphan(
    aws: AwsEmulator, backend: AthenaBackend, statement: str
) -> None:
    aws.query_faults.append(QueryFault(statement, "GENERIC_INTERNAL: no"))
    with pytest.raises(QueryFailed, match="GENERIC_INTERNAL: no"):
        publish_new(backend)

    assert published(backend) == OLD
    if statement == "^CREATE TABLE":
        assert staged(backend, aws) == []
    backend.warehouse.drop_staging("load_1")
    assert staged(backend, aws) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, DagsterExecutionInterruptedError])
@pytest.mark.parametrize("statement", ["^CREATE TABLE", "^MERGE"])
def test_an_interruption_stops_the_query(
    aws: AwsEmulator, backend: AthenaBackend, statement: str, error: type[BaseException]
) -> None:
    aws.query_faults.append(
        QueryFault(
            statement, hangs=True, first=lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        )
    )

    with raise_interrupts_as(error), pytest.raises(error):
        publish_new(backend)

    assert aws.running == []
    assert published(backend) == OLD
    if statement == "^CREATE TABLE":
        assert staged(backend, aws) == []


def test_an_interruption_while_a_query_is_started_stops_it(
    aws: AwsEmulator, engine: AthenaWorkgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    start: Callable[[str, str], str] = aws.start

    def interrupt_then_start(text: str, location: str) -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)
        return start(text, location)

    monkeypatch.setattr(aws, "start", interrupt_then_start)
    aws.query_faults.append(QueryFault("SELECT 1", hangs=True))

    with raise_interrupts_as(DagsterExecutionInterruptedError), pytest.raises(DagsterExecutionInterruptedError):
        run(engine)

    assert len(aws.queries) == 1
    assert aws.running == []


def test_a_deleted_published_table_is_created_again(aws: AwsEmulator, backend: AthenaBackend) -> None:
    aws.engine.glue.delete_table(DatabaseName=f"{backend.database}_published", Name="daily_prices")
    assert published(backend) == []


def test_a_table_that_differs_from_its_contract_raises_table_drift(aws: AwsEmulator, backend: AthenaBackend) -> None:
    table = aws.engine.catalog.load_table((f"{backend.database}_published", "daily_prices"))
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("volatility")
        update.rename_column("volume", "shares")
    with table.update_schema() as update:
        update.add_column("volatility", table.schema().find_field("is_market_up").field_type)

    with pytest.raises(TableDrift, match="volatility: declared double, found boolean") as raised:
        backend.warehouse.history(DAILY_PRICES)

    assert "shares: not declared, found long" in str(raised.value)


def test_a_query_that_is_no_select_is_rejected_before_it_is_sent(aws: AwsEmulator, backend: AthenaBackend) -> None:
    before = len(aws.queries)
    with backend.warehouse.connect() as sql:
        for select in ("DROP TABLE published.daily_prices", "DELETE FROM published.daily_prices", "SELECT 1; SELECT 2"):
            with pytest.raises(QueryFailed, match="not a single SELECT"):
                sql.query(select)
    assert len(aws.queries) == before
