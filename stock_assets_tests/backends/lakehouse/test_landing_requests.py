"""Requests to S3 of the landing files sensor: a tick without new files lists, and reads no object."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.core.errors import Outcome
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import scan
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_keys import request_time
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.steps import LIMITS


@contextmanager
def sent_requests(backend: LakehouseBackend) -> Iterator[list[str]]:
    """Collect the names of the requests to S3."""
    sent: list[str] = []
    events = backend.access.client("s3").meta.events

    def note(event_name: str, **_: object) -> None:
        sent.append(event_name.rpartition(".")[2])

    events.register("before-send.s3", note)
    yield sent
    events.unregister("before-send.s3", note)


def test_a_tick_without_new_files_sends_two_requests(tmp_path: Path, aws: AwsEmulator, server: VendorServer) -> None:
    backend, writer = (athena_backend(aws.endpoint, tmp_path / "backend") for _ in range(2))
    parts = PipelineParts(backend, live_source(server), symbols(1), LIMITS)
    now = datetime.now(UTC)
    scope = LandingScope(now.date() - timedelta(days=30), now.date())
    for number in range(20):
        day = f"{now - timedelta(days=10 + number):%Y-%m-%d}"
        key = f"raw/daily_prices/ingest_date={day}/{number}/S01.csv"
        backend.objects.put(key, b"x")
        # As another process does: a process does not read what it has recorded itself.
        writer.ledger.record(Fetch("S01", FetchKind.PRICES, now, Outcome.OK, key))

    with sent_requests(backend) as first:
        assert scan(parts, scope, at=now + timedelta(hours=1)).unreadable == ()
    with sent_requests(backend) as second:
        scan(parts, scope, at=now + timedelta(hours=1), since=now - timedelta(minutes=10))
    with sent_requests(backend) as third:
        scan(parts, scope, at=now + timedelta(hours=2), since=now + timedelta(minutes=50))

    assert first.count("GetObject") == 20
    assert second == third == ["ListObjectsV2", "ListObjectsV2"]


def test_a_tick_lists_no_objects_that_firehose_has_delivered_on_earlier_days(
    tmp_path: Path, aws: AwsEmulator, server: VendorServer
) -> None:
    backend = athena_backend(aws.endpoint, tmp_path / "backend")
    parts = PipelineParts(backend, live_source(server), symbols(1), LIMITS)
    now = datetime.now(UTC)
    keys = [_delivered(now - timedelta(days=10, seconds=number)) for number in range(50)]
    store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for key in keys:
        # Through the model of the emulator: it is faster.
        store.put_object(BUCKET, f"{backend.prefix}/{key}", b"x").last_modified = now - timedelta(days=10)
    backend.ledger.record(*(Fetch("x", FetchKind.LANDING_FILES, now, Outcome.OK, key) for key in keys))
    assert not any(map(request_time, keys)), "it would count as the response to a request"
    backend.objects.put(_delivered(now), b"x")

    since = now - timedelta(minutes=10)
    with sent_requests(backend) as sent:
        entries = backend.objects.entries("raw/daily_prices/", since=since)
    assert sent == ["ListObjectsV2", "ListObjectsV2"]
    assert [entry.key for entry in entries] == [_delivered(now)]
    scope = LandingScope(now.date() - timedelta(days=30), now.date())
    [waiting] = scan(parts, scope, at=now + timedelta(minutes=2), since=since).waiting
    assert waiting.key == _delivered(now)


def _delivered(at: datetime) -> str:
    """Return the key of an object of Firehose, as the template names its folders."""
    return f"raw/daily_prices/ingest_date={at:%Y-%m-%d}/firehose/{at:%Y/%m/%d/%H}/stream-1-{at:%Y-%m-%d-%H-%M-%S}-a.gz"
