"""Relocating a copied or moved data folder: it is complete at its new place, and no other folder is touched."""

import random
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from pyiceberg.table import StaticTable

from stock_assets.backends.interface import Backend
from stock_assets.backends.local import durable, durable_file_io, iceberg, relocation
from stock_assets.backends.local.relocation import relocate
from stock_assets.backends.snapshots import needed_files
from stock_assets.core.errors import TableOutsideDataFolder
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.steps import local_backend, published_rows

DAYS = (date(2012, 3, 1), date(2012, 3, 2), date(2013, 2, 28))


def publish(backend: Backend, symbol: str, day: date) -> None:
    with backend.warehouse.connect(f"load_{symbol}") as sql:
        stage_rows(sql, [price_row(symbol, day)])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=day, last=day, properties={})


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A data folder with five snapshots: added, replaced, rolled back and loaded again."""
    root = tmp_path / "a folder"
    for symbol, day in zip(("IBM", "AAPL", "MSFT"), DAYS, strict=True):
        publish(local_backend(root), symbol, day)
    publish(local_backend(root), "IBM", DAYS[0])
    return root


def all_snapshots(root: Path) -> dict[int, list[dict[str, object]]]:
    """Return the rows of every snapshot."""
    backend = local_backend(root)
    current = next(one.snapshot_id for one in backend.warehouse.history(DAILY_PRICES) if one.is_current)
    found = {}
    for snapshot in backend.warehouse.history(DAILY_PRICES):
        backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
        found[snapshot.snapshot_id] = published_rows(backend)
    backend.warehouse.rollback(DAILY_PRICES, current)
    return found


def test_a_relocated_copy_has_all_snapshots_and_uses_only_its_own_files(original: Path, tmp_path: Path) -> None:
    before, rows = contents(original), published_rows(local_backend(original))
    copy = shutil.copytree(original, tmp_path / "copy")

    [done] = relocate(copy)

    assert (done.table, done.earlier) == ("published.daily_prices", f"{original}/published/daily_prices")
    assert published_rows(local_backend(copy)) == rows
    assert all(address.startswith(f"file://{copy}/") for address in needed_files(iceberg.load(copy, DAILY_PRICES)))
    assert contents(original) == before
    original.rename(tmp_path / "gone")
    snapshots = all_snapshots(copy)
    assert len(snapshots) == 4
    publish(local_backend(copy), "ORCL", DAYS[1])
    now = datetime.now(UTC)
    local_backend(copy).warehouse.maintain(DAILY_PRICES, keep_since=now, at=now + timedelta(days=2))
    assert [row["symbol"] for row in published_rows(local_backend(copy))] == ["IBM", "MSFT", "ORCL"]
    assert contents(tmp_path / "gone").keys() == {tmp_path / "gone" / path.relative_to(original) for path in before}


def test_relocating_twice_changes_nothing(original: Path, tmp_path: Path) -> None:
    moved = original.rename(tmp_path / "moved")
    relocate(moved)
    before = contents(moved)

    assert relocate(moved) == []

    assert contents(moved) == before


def test_other_iceberg_readers_read_the_relocated_table(original: Path, tmp_path: Path) -> None:
    rows = published_rows(local_backend(original))
    moved = original.rename(tmp_path / "moved")
    relocate(moved)

    scan = StaticTable.from_metadata(iceberg.load(moved, DAILY_PRICES).metadata_location).scan()
    read = scan.to_arrow()
    files = [Path(task.file.file_path.removeprefix("file://")) for task in scan.plan_files()]

    assert sorted(read.to_pylist(), key=lambda row: (row["symbol"], row["trade_date"])) == rows
    assert len(pd.concat(map(pd.read_parquet, files))) == len(rows)


@pytest.mark.parametrize("steps_until_the_kill", [1, 6, 9])
def test_a_kill_leaves_the_folder_rejected_or_relocated(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_until_the_kill: int
) -> None:
    rows = published_rows(local_backend(original))
    moved = original.rename(tmp_path / "moved")
    steps = iter(range(steps_until_the_kill))

    def sync(path: Path) -> None:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        durable.sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(relocation, "sync", sync)
        patch.setattr(durable_file_io, "sync", sync)
        try:
            relocate(moved)
        except KeyboardInterrupt:
            with pytest.raises(TableOutsideDataFolder):
                published_rows(local_backend(moved))

    relocate(moved)
    assert published_rows(local_backend(moved)) == rows


def test_copies_moves_and_loads_in_random_order_keep_every_folder_apart(original: Path, tmp_path: Path) -> None:
    choose = random.Random(17)  # noqa: S311 (a repeatable order)
    folders = {original: {("IBM", DAYS[0]), ("AAPL", DAYS[1]), ("MSFT", DAYS[2])}}
    for number in range(10):
        folder = choose.choice(sorted(folders))
        action = choose.choice(("copy", "move", "load", "maintain"))
        if action == "copy":
            target = Path(shutil.copytree(folder, tmp_path / f"copy{number}"))
            folders[target] = set(folders[folder])
        elif action == "move":
            target = folder.rename(tmp_path / f"moved{number}")
            folders[target] = folders.pop(folder)
        elif action == "load":
            day = DAYS[2] + timedelta(days=number + 1)
            publish(local_backend(folder), f"S{number}", day)
            folders[folder].add((f"S{number}", day))
        else:
            now = datetime.now(UTC)
            local_backend(folder).warehouse.maintain(DAILY_PRICES, keep_since=now, at=now + timedelta(days=2))
        if action in ("copy", "move"):
            relocate(target)
        for one, rows in folders.items():
            assert {(row["symbol"], row["trade_date"]) for row in published_rows(local_backend(one))} == rows


def test_a_copied_link_to_the_tables_is_not_relocated(original: Path, tmp_path: Path) -> None:
    (original / "published").rename(tmp_path / "disk")
    (original / "published").symlink_to(tmp_path / "disk")
    shutil.copytree(original, tmp_path / "copy", symlinks=True)
    before = contents(tmp_path / "disk")

    with pytest.raises(TableOutsideDataFolder, match="Copy the files instead of the link"):
        relocate(tmp_path / "copy")

    assert contents(tmp_path / "disk") == before


def test_an_incomplete_copy_is_not_relocated(original: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(original, tmp_path / "copy")
    shutil.rmtree(copy / "published")

    with pytest.raises(TableOutsideDataFolder, match="Copy the data folder completely"):
        relocate(copy)


def test_a_commit_of_another_process_is_not_lost(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = original.rename(tmp_path / "moved")
    write = relocation.Rewrite.write

    def relocated_meanwhile(self: relocation.Rewrite, metadata_file: str) -> str:
        monkeypatch.setattr(relocation.Rewrite, "write", write)
        relocate(moved)
        publish(local_backend(moved), "ORCL", DAYS[1])
        return write(self, metadata_file)

    monkeypatch.setattr(relocation.Rewrite, "write", relocated_meanwhile)
    relocate(moved)

    assert "ORCL" in {row["symbol"] for row in published_rows(local_backend(moved))}
    with closing(sqlite3.connect(moved / "catalog.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM iceberg_tables").fetchall() == [(1,)]
