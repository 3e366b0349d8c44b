"""Reading a published table without the catalog's library returns what the catalog returns, and changes nothing."""

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pytest
from pyiceberg.table import DataScan, StaticTable

from stock_assets.backends.local import iceberg, table_reader
from stock_assets.backends.local.database import CATALOG_FILE
from stock_assets.backends.local.table_folder import path_of
from stock_assets.core.errors import SettingsError
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.steps import local_backend

DAY, NEXT_YEAR = date(2012, 12, 31), date(2013, 1, 2)


def publish(root: Path) -> None:
    with local_backend(root).warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", day) for day in (DAY, NEXT_YEAR)])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=DAY, last=NEXT_YEAR, properties={})


@pytest.mark.parametrize("name", ["data", "with a space", "100%25 of; the: data", "köln"])
def test_the_reader_returns_what_the_catalog_returns(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    publish(root)
    publish(root)

    read, found = table_reader.read(root, DAILY_PRICES), iceberg.find(root, DAILY_PRICES)

    assert read is not None
    assert found is not None
    assert read.metadata == found.metadata
    assert read.metadata_location == found.metadata_location
    assert table_reader.data_files(read) == table_reader.data_files(found)
    assert all(Path(file).is_file() for file in table_reader.data_files(read))


def test_a_table_that_does_not_exist_is_none_and_nothing_is_created(tmp_path: Path) -> None:
    assert table_reader.read(tmp_path, DAILY_PRICES) is None
    assert list(tmp_path.iterdir()) == []

    sqlite3.connect(tmp_path / CATALOG_FILE).close()
    assert table_reader.read(tmp_path, DAILY_PRICES) is None
    assert (tmp_path / CATALOG_FILE).read_bytes() == b""

    publish(tmp_path / "data")
    assert table_reader.read(tmp_path / "data", QUARANTINED_PRICES) is None


def test_a_table_that_was_read_cannot_be_changed(tmp_path: Path) -> None:
    publish(tmp_path)
    stored = table_reader.read(tmp_path, DAILY_PRICES)
    assert stored is not None

    with pytest.raises(NotImplementedError):
        stored.manage_snapshots().set_current_snapshot(snapshot_id=stored.snapshots()[0].snapshot_id).commit()
    with pytest.raises(NotImplementedError, match="was opened for reading"):
        stored.io.new_output(f"file://{tmp_path}/file")
    with pytest.raises(NotImplementedError, match="was opened for reading"):
        stored.io.delete(stored.metadata_location)


def test_a_table_is_readable_while_another_process_writes_the_catalog(tmp_path: Path) -> None:
    publish(tmp_path)
    with closing(sqlite3.connect(tmp_path / CATALOG_FILE, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM iceberg_tables")

        assert table_reader.read(tmp_path, DAILY_PRICES) is not None


@pytest.mark.parametrize("name", ["a?b", "a#b"])
def test_a_folder_that_iceberg_cannot_address_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="Iceberg addresses cannot contain"):
        table_reader.read(tmp_path / name, DAILY_PRICES)


def test_an_unchanged_table_is_not_read_again_and_a_missing_file_is_an_error(tmp_path: Path) -> None:
    publish(tmp_path)
    stored = table_reader.read(tmp_path, DAILY_PRICES)
    assert stored is not None
    files = table_reader.data_files(stored)
    with (
        patch.object(StaticTable, "from_metadata", side_effect=AssertionError("read again")),
        patch.object(DataScan, "plan_files", side_effect=AssertionError("read again")),
    ):
        again = table_reader.read(tmp_path, DAILY_PRICES)
        assert again is not None
        assert table_reader.data_files(again) == files

    snapshot = stored.current_snapshot()
    assert snapshot is not None
    Path(path_of(snapshot.manifest_list)).unlink()
    with pytest.raises(FileNotFoundError):
        table_reader.data_files(stored)


def test_another_snapshot_of_a_table_has_its_own_files(tmp_path: Path) -> None:
    publish(tmp_path)
    before = table_reader.read(tmp_path, DAILY_PRICES)
    assert before is not None
    files = table_reader.data_files(before)
    publish(tmp_path)
    after = table_reader.read(tmp_path, DAILY_PRICES)
    assert after is not None

    assert not set(table_reader.data_files(after)) & set(files)
    assert table_reader.data_files(before) == files
