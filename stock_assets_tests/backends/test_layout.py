"""A data folder records its layout version; data of another layout are neither read nor changed."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.lakehouse.backend import LakehouseBackend
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects
from stock_assets.backends.layout import LAYOUT_KEY, LAYOUT_VERSION
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import Outcome, UnsupportedLayout
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.athena_backends import athena_backend
from stock_assets_tests.support.processes import fork_server
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.steps import local_backend

DAY = date(2012, 3, 1)
AT = datetime(2012, 3, 1, 22, tzinfo=UTC)


def list_objects(backend: Backend) -> None:
    backend.objects.keys("raw/")


def get_object(backend: Backend) -> None:
    backend.objects.get("raw/x")


def read_ledger(backend: Backend) -> None:
    backend.ledger.fetches(FetchKind.PRICES)


def read_quota(backend: Backend) -> None:
    backend.rate_limiter.used_calls("a vendor", AT)
    backend.rate_limiter.blocked_until("a vendor", AT)


def read_history(backend: Backend) -> None:
    backend.warehouse.history(DAILY_PRICES)


def connect(backend: Backend) -> None:
    with backend.warehouse.connect() as sql:
        sql.query("SELECT 1 AS one")


def put_object(backend: Backend) -> None:
    backend.objects.put("raw/x", b"x")


def delete_object(backend: Backend) -> None:
    backend.objects.delete("raw/x")


def record_fetch(backend: Backend) -> None:
    backend.ledger.record(Fetch("IBM", FetchKind.PRICES, AT, Outcome.OK))


def acquire_call(backend: Backend) -> None:
    backend.rate_limiter.acquire("a vendor", CallLimits(), lambda: AT)


def block_calls(backend: Backend) -> None:
    backend.rate_limiter.block_until("a vendor", AT)


def publish(backend: Backend) -> None:
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", DAY)])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=DAY, last=DAY, properties={})


def maintain(backend: Backend) -> None:
    backend.warehouse.maintain(DAILY_PRICES, keep_since=AT, at=datetime.now(UTC))


READS = [list_objects, read_ledger, read_quota, read_history, connect, maintain]
WRITES = [put_object, record_fetch, acquire_call, block_calls, publish]

Use = Callable[[Backend], None]


def files(root: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


class TestLocal:
    """The local backend."""

    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("exists", [True, False])
    def test_reading_an_empty_folder_creates_nothing(self, root: Path, read: Use, *, exists: bool) -> None:
        if exists:
            root.mkdir()

        read(local_backend(root))

        assert root.exists() == exists
        assert files(root) == {}

    @pytest.mark.parametrize("read", READS)
    def test_reading_a_folder_with_data_creates_and_changes_no_file(self, root: Path, read: Use) -> None:
        for write in WRITES:
            write(local_backend(root))
        before = files(root)

        read(local_backend(root))

        assert files(root) == before

    @pytest.mark.parametrize("write", WRITES)
    def test_the_first_write_records_the_layout_and_the_folder_is_usable_again(self, root: Path, write: Use) -> None:
        write(local_backend(root))

        assert json.loads((root / LAYOUT_KEY).read_bytes()) == {"layout_version": LAYOUT_VERSION}
        for use in READS:
            use(local_backend(root))

    @pytest.mark.parametrize("use", [*READS, *WRITES, get_object, delete_object])
    @pytest.mark.parametrize("database", ["ledger.db", "catalog.db"])
    def test_an_older_folder_is_not_used_and_the_message_names_the_migration(
        self, root: Path, use: Use, database: str
    ) -> None:
        (root / "raw" / "daily_prices").mkdir(parents=True)
        (root / database).write_bytes(b"of an older release")
        before = files(root)

        with pytest.raises(UnsupportedLayout) as unsupported:
            use(local_backend(root))

        assert str(unsupported.value).endswith("To keep its data, run: stock-assets migrate")
        assert files(root) == before

    @pytest.mark.parametrize("use", [*READS, *WRITES, get_object, delete_object])
    def test_a_newer_folder_is_not_used_and_the_message_requires_an_upgrade(self, root: Path, use: Use) -> None:
        root.mkdir()
        (root / LAYOUT_KEY).write_text(f'{{"layout_version": {LAYOUT_VERSION + 1}}}', encoding="utf-8")
        before = files(root)

        with pytest.raises(UnsupportedLayout, match=rf"(?s){root} has layout version .*Upgrade stock_assets"):
            use(local_backend(root))

        assert files(root) == before

    def test_an_older_layout_file_is_an_older_folder(self, root: Path) -> None:
        root.mkdir()
        (root / LAYOUT_KEY).write_text('{"layout_version": 1}', encoding="utf-8")

        with pytest.raises(UnsupportedLayout, match="older release"):
            connect(local_backend(root))

    @pytest.mark.parametrize("body", ["", "2", "[]", "{}", '{"layout_version": "2"}', '{"layout_version": true}', "{"])
    def test_a_foreign_layout_file_is_reported(self, root: Path, body: str) -> None:
        root.mkdir()
        (root / LAYOUT_KEY).write_text(body, encoding="utf-8")

        with pytest.raises(UnsupportedLayout, match=r"layout\.json is not a layout file"):
            connect(local_backend(root))

    def test_foreign_files_and_landing_files_do_not_make_a_folder_older(self, root: Path) -> None:
        for name in ("README.txt", "dagster_home/dagster.yaml", "raw/daily_prices/today/IBM.csv"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("x", encoding="utf-8")

        assert local_backend(root).objects.keys("raw/") == ["raw/daily_prices/today/IBM.csv"]
        record_fetch(local_backend(root))
        assert (root / LAYOUT_KEY).exists()

    def test_the_layout_is_read_once_per_backend(self, root: Path) -> None:
        backend = local_backend(root)
        record_fetch(backend)
        (root / LAYOUT_KEY).unlink()

        record_fetch(backend)

        with pytest.raises(UnsupportedLayout):
            record_fetch(local_backend(root))

    @pytest.mark.slow
    def test_processes_that_create_a_folder_together_all_succeed(self, root: Path) -> None:
        context = fork_server()
        processes = [context.Process(target=record_in, args=(root,), daemon=True) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        assert [process.exitcode for process in processes] == [0] * 6
        assert len(local_backend(root).ledger.fetches(FetchKind.PRICES)) == 6


def record_in(root: Path) -> None:
    """Record one fetch, in another process."""
    record_fetch(local_backend(root))


class TestLakehouse:
    """The Athena backend, for all lakehouse backends."""

    @pytest.fixture
    def make(self, aws: AwsEmulator, tmp_path: Path) -> Callable[[], LakehouseBackend]:
        return lambda: athena_backend(aws.endpoint, tmp_path)

    @pytest.fixture
    def bucket(self, make: Callable[[], LakehouseBackend]) -> S3Objects:
        """The objects of the backend without the check."""
        backend = make()
        return S3Objects(backend.access, BucketFolder(backend.bucket, backend.prefix))

    @pytest.mark.parametrize("read", [list_objects, read_ledger, read_quota])
    def test_reading_creates_no_object(self, make: Callable[[], Backend], bucket: S3Objects, read: Use) -> None:
        read(make())

        assert bucket.keys("") == []

    @pytest.mark.parametrize("write", [put_object, record_fetch, acquire_call, block_calls])
    def test_the_first_write_records_the_layout(
        self, make: Callable[[], Backend], bucket: S3Objects, write: Use
    ) -> None:
        write(make())

        assert json.loads(bucket.get(LAYOUT_KEY)) == {"layout_version": LAYOUT_VERSION}
        list_objects(make())

    @pytest.mark.parametrize("use", [*READS, get_object, put_object])
    def test_older_data_are_not_used(self, make: Callable[[], Backend], bucket: S3Objects, use: Use) -> None:
        bucket.put("ledger/daily_prices/new/1.json", b"{}")

        with pytest.raises(UnsupportedLayout) as unsupported:
            use(make())

        address = bucket.uri("raw/daily_prices")
        assert f"stock-assets import {address}" in str(unsupported.value)
        assert "set STOCK_ASSETS_AWS_PREFIX and STOCK_ASSETS_AWS_DATABASE to new names" in str(unsupported.value)
        assert bucket.keys("") == ["ledger/daily_prices/new/1.json"]

    def test_newer_data_are_not_used(self, make: Callable[[], Backend], bucket: S3Objects) -> None:
        bucket.put(LAYOUT_KEY, b'{"layout_version": 99}')

        with pytest.raises(UnsupportedLayout, match="Upgrade stock_assets"):
            put_object(make())

    def test_landing_files_do_not_make_a_bucket_older(self, make: Callable[[], Backend], bucket: S3Objects) -> None:
        bucket.put("raw/daily_prices/today/IBM.csv", b"x")

        assert make().objects.keys("raw/") == ["raw/daily_prices/today/IBM.csv"]
        record_fetch(make())
