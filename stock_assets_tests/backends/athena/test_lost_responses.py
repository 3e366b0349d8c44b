"""A call whose response is lost takes effect once: the client repeats the call, and recognises its own first attempt.

The emulator carries out the call and closes the connection.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from botocore.retries.quota import RetryQuota

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.athena.engine import AthenaEngine, AthenaWorkgroup
from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse.glue import Glue, external_parquet
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.core.errors import ObjectExists, Outcome, ServiceRefused
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES
from stock_assets_tests.contracts.packed_ledger_contract import START
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import lost_response
from stock_assets_tests.emulators.athena.names import WORKGROUP
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, Scene, content, wavy_source
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.table_rows import FIRST, publish

_EVERY = 1_000_000
Requests = Callable[[], list[str]]


@pytest.fixture
def backend(tmp_path: Path, aws: AwsEmulator) -> AthenaBackend:
    return athena_backend(aws.endpoint, tmp_path / "backend")


@pytest.fixture
def objects(backend: AthenaBackend) -> S3Objects:
    return S3Objects(backend.access, BucketFolder(backend.bucket, backend.prefix))


@pytest.fixture
def methods(aws: AwsEmulator) -> Requests:
    """Return a function that returns the methods of the calls since it was called last."""
    aws.calls.clear()

    def since() -> list[str]:
        found = [call.request.partition(" ")[0] for call in aws.calls]
        aws.calls.clear()
        return found

    return since


def lose(aws: AwsEmulator, matches: str) -> None:
    aws.call_faults.append(lost_response(matches))


def test_a_new_object_is_stored_once(aws: AwsEmulator, objects: S3Objects, methods: Requests) -> None:
    lose(aws, f"PUT /{BUCKET}")
    objects.put("raw/a", b"body")

    assert methods() == ["PUT", "PUT", "HEAD"]
    assert objects.get("raw/a") == b"body"


def test_an_object_of_another_writer_is_no_own_one(aws: AwsEmulator, objects: S3Objects) -> None:
    """Equal bytes prove nothing: of two processes that store the same record, one must learn that it was second."""
    objects.put("raw/a", b"body")
    lose(aws, f"PUT /{BUCKET}")
    with pytest.raises(ObjectExists):
        objects.put("raw/a", b"body")


def test_a_replaced_object_has_the_etag_of_the_first_attempt(aws: AwsEmulator, objects: S3Objects) -> None:
    first = objects.put_version("a", b"1", etag=None)
    lose(aws, f"PUT /{BUCKET}")
    second = objects.put_version("a", b"2", etag=first)

    assert (objects.get_version("a"), second == first) == ((b"2", second), False)
    assert objects.put_if("a", b"3", etag=second)


def test_removed_objects_stay_removed(aws: AwsEmulator, objects: S3Objects) -> None:
    for key in ("a/1", "a/2", "b"):
        objects.put(key, b"")
    lose(aws, f"DELETE /{BUCKET}")
    objects.delete("b")
    lose(aws, f"POST /{BUCKET}")
    objects.delete_all("a/")
    assert objects.keys("") == []


def test_a_request_is_in_the_ledger_once(aws: AwsEmulator, backend: AthenaBackend) -> None:
    lose(aws, f"PUT /{BUCKET}/{backend.prefix}/ledger")
    backend.ledger.record(Fetch("IBM", FetchKind.PRICES, START, Outcome.OK))
    assert [fetch.symbol for fetch in backend.ledger.fetches(FetchKind.PRICES)] == ["IBM"]


def test_a_large_input_is_uploaded_once(aws: AwsEmulator, backend: AthenaBackend) -> None:
    """Both its object and its table in the catalog."""
    Glue(backend.access).create_database(f"{backend.database}_staged")
    with backend.warehouse.connect("load_1") as sql:
        many = sql.register("many", pa.table({"symbol": [f"S{number:04d}" for number in range(3000)]}))
        lose(aws, "AWSGlue.CreateTable")
        lose(aws, f"PUT /{BUCKET}/{backend.prefix}/staged/inputs")
        assert sql.query(f"SELECT count(*) AS n FROM {many.value}").to_pylist() == [{"n": 3000}]
    assert [fault.times for fault in aws.call_faults] == [0, 0]
    assert backend.objects.keys("staged/inputs/") == []


def test_a_table_of_another_writer_is_no_own_one(backend: AthenaBackend) -> None:
    """Its location differs."""
    glue, database = Glue(backend.access), f"{backend.database}_staged"
    glue.create(database, external_parquet("one", ["symbol"], backend.objects.uri("staged/inputs/first/")))
    with pytest.raises(ServiceRefused, match="AlreadyExists"):
        glue.create(database, external_parquet("one", ["symbol"], backend.objects.uri("staged/inputs/second/")))


@pytest.mark.parametrize("stored", [{}, {"StorageDescriptor": {}}], ids=["no storage", "no location"])
def test_a_table_without_a_location_is_no_own_one(
    backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch, stored: Mapping[str, object]
) -> None:
    """As a view of another program."""
    glue, database = Glue(backend.access), f"{backend.database}_staged"
    table = external_parquet("one", ["symbol"], backend.objects.uri("staged/inputs/first/"))
    glue.create(database, table)
    client = backend.access.client("glue")
    monkeypatch.setattr(client, "get_table", lambda **_: {"Table": {"Name": "one", **stored}})
    with pytest.raises(ServiceRefused, match="AlreadyExists"):
        glue.create(database, table)


def test_a_statement_runs_once(aws: AwsEmulator, backend: AthenaBackend) -> None:
    engine = AthenaEngine(AthenaWorkgroup(backend.access, WORKGROUP, backend.results, poll_seconds=0.02))
    lose(aws, "StartQueryExecution")
    assert engine.run("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    assert aws.statements == ["SELECT 1 AS one"]


def test_a_table_is_rolled_back_once(aws: AwsEmulator, backend: AthenaBackend) -> None:
    """The repeated call is a conflict for Glue: the next attempt finds the table as it should be."""
    publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
    publish(backend, [price_row("IBM", FIRST, 55.0)], FIRST, FIRST)
    first = backend.warehouse.history(DAILY_PRICES)[-1].snapshot_id
    lose(aws, "AWSGlue.UpdateTable")
    backend.warehouse.rollback(DAILY_PRICES, first)
    assert [fault.times for fault in aws.call_faults] == [0]
    assert [one.snapshot_id for one in backend.warehouse.history(DAILY_PRICES) if one.is_current] == [first]
    assert len(backend.warehouse.history(DAILY_PRICES)) == 2


@pytest.mark.slow
def test_loads_whose_calls_all_lose_their_first_response_are_published_once(
    aws: AwsEmulator, backend: AthenaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # boto3 repeats no call any more after a hundred repeated ones that end in an error, such as that of a condition.
    monkeypatch.setattr(RetryQuota, "acquire", lambda *_: True)
    source = wavy_source()
    source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    local = Scene(local_backend(tmp_path / "local"), source)
    on_aws = Scene(backend, source)
    fault = lost_response("", times=_EVERY, first_attempts=True)
    aws.call_faults.append(fault)

    for week in (FIRST_WEEK, SECOND_WEEK):
        local.run(week)
        on_aws.run(week)

    aws.call_faults.clear()
    lost = _EVERY - fault.times
    assert lost > 100, "a load makes more calls"
    assert content(backend) == content(local.backend)
    assert [len(backend.warehouse.history(table)) for table in (DAILY_PRICES, QUARANTINED_PRICES)] == [2, 1]
    assert [len(one.ledger.fetches(FetchKind.PRICES)) for one in (backend, local.backend)] == [5, 5]
    started = [call.headers["HTTP_AMZ_SDK_INVOCATION_ID"] for call in aws.calls if "StartQueryExec" in call.request]
    assert len(started) > len(set(started)) == len(aws.queries), "statements are sent twice, and run once"
