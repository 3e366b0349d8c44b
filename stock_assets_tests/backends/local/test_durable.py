"""After a power failure, everything that something refers to is on disk."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from pyiceberg.table import StaticTable
from sqlalchemy import Connection, Engine, event

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.layout import LAYOUT_KEY
from stock_assets.backends.local import iceberg
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.backends.local.ledger import SqliteLedger
from stock_assets.backends.local.table_folder import path_of
from stock_assets.backends.snapshots import needed_files
from stock_assets.core.errors import Outcome
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES, Column, ColumnType
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.small_files import scatter_locally
from stock_assets_tests.support.steps import local_backend, published_rows, read

DAY, NEXT_YEAR = date(2012, 12, 31), date(2013, 1, 2)


class Disk:
    """What is on disk: sizes of files and entries of folders at their last fsync, by inode."""

    def __init__(self, mounted: Path) -> None:
        self._mounted = mounted
        self._sizes: dict[int, int] = {}
        self._entries: dict[int, set[str]] = {}
        self.commits = 0

    def record(self, descriptor: int) -> None:
        """Record an fsync."""
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._entries[status.st_ino] = set(os.listdir(descriptor))
        else:
            self._sizes[status.st_ino] = status.st_size

    def missing(self, file: Path) -> list[str]:
        """Return what a power failure would remove: the contents of a file, or an entry of a folder above it."""
        whole = self._sizes.get(file.stat().st_ino) == file.stat().st_size
        return [*([] if whole else [f"contents of {file}"]), *self.missing_entries(file)]

    def missing_entries(self, path: Path) -> list[str]:
        """Return the entries of a file or folder, and of the folders above, that a power failure would remove."""
        way = [path, *path.parents]
        lost = [step for step in way[: way.index(self._mounted)] if step.name not in self._listed(step.parent)]
        return [f"entry of {step}" for step in lost]

    def check(self, connection: Connection) -> None:
        """Check all files to which the catalog refers after this commit."""
        if str(connection.engine.url.database).endswith("catalog.db"):
            rows = connection.exec_driver_sql("SELECT metadata_location FROM iceberg_tables").fetchall()
            for (address,) in rows:
                self.commits += 1
                needed = needed_files(StaticTable.from_metadata(address))
                assert [lost for name in needed for lost in self.missing(Path(path_of(name)))] == []

    def _listed(self, folder: Path) -> set[str]:
        return self._entries.get(folder.stat().st_ino, set())


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Records every fsync and checks every commit of the catalog."""
    disk, fsync = Disk(tmp_path), os.fsync

    def sync_and_record(descriptor: int) -> None:
        fsync(descriptor)
        disk.record(descriptor)

    monkeypatch.setattr(os, "fsync", sync_and_record)
    event.listen(Engine, "commit", disk.check)
    yield disk
    event.remove(Engine, "commit", disk.check)


def publish(backend: Backend, root: Path) -> None:
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", day) for day in (DAY, NEXT_YEAR)])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=DAY, last=NEXT_YEAR, properties={})


def create(backend: Backend, root: Path) -> None:
    publish(local_backend(root / "deep" / "new"), root)


def add_a_column(backend: Backend, root: Path) -> None:
    more = Column("more", ColumnType.TEXT, "More.", required=False)
    iceberg.load(root, replace(DAILY_PRICES, columns=(*DAILY_PRICES.columns, more)))


def roll_back(backend: Backend, root: Path) -> None:
    backend.warehouse.rollback(DAILY_PRICES, backend.warehouse.history(DAILY_PRICES)[-1].snapshot_id)


def compact(backend: Backend, root: Path) -> None:
    scatter_locally(root, read(backend, price_row("OTHER", DAY)).cast(DAILY_PRICES.arrow_schema()))
    at = datetime.now(UTC)
    done = backend.warehouse.maintain(DAILY_PRICES, keep_since=at - timedelta(days=1), at=at)
    assert done.files_before > done.files_after


def expire(backend: Backend, root: Path) -> None:
    at = datetime.now(UTC)
    assert backend.warehouse.maintain(DAILY_PRICES, keep_since=at, at=at + timedelta(days=2)).snapshots_expired


@pytest.mark.parametrize("write", [create, publish, add_a_column, roll_back, compact, expire])
def test_every_file_is_on_disk_before_the_catalog_refers_to_it(
    backend: Backend, tmp_path: Path, disk: Disk, write: Callable[[Backend, Path], None]
) -> None:
    root = tmp_path / "backend"
    publish(backend, root)
    publish(backend, root)
    before = disk.commits

    write(backend, root)

    assert disk.commits > before
    assert published_rows(backend)


def test_a_stored_object_is_on_disk_before_the_ledger_refers_to_it(
    backend: Backend, tmp_path: Path, disk: Disk
) -> None:
    backend.objects.put("raw/daily_prices/2012/IBM.csv", b"timestamp")

    assert disk.missing(tmp_path / "backend" / "raw" / "daily_prices" / "2012" / "IBM.csv") == []


def test_a_staged_table_is_on_disk_before_the_load_refers_to_it(backend: Backend, tmp_path: Path, disk: Disk) -> None:
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", DAY)])

    [staged] = (tmp_path / "backend" / "staged").rglob("*.parquet")
    assert disk.missing(staged) == []


def test_the_folder_of_the_ledger_and_its_layout_file_are_on_disk_before_the_ledger_is_written(
    tmp_path: Path, disk: Disk
) -> None:
    root = tmp_path / "deep" / "new"
    SqliteLedger(DataFolder(root)).record(Fetch("IBM", FetchKind.PRICES, datetime.now(UTC), Outcome.OK))

    assert disk.missing_entries(root) == []
    assert disk.missing(root / LAYOUT_KEY) == []
