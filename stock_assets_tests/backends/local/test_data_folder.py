"""A copied or moved data folder neither reads nor changes the files of the original."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.backends.local import iceberg
from stock_assets.backends.local.table_folder import path_of
from stock_assets.core.errors import TableOutsideDataFolder
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.steps import local_backend, published_rows

DAY = date(2012, 3, 1)


def publish(backend: Backend) -> None:
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", DAY)])
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=DAY, last=DAY, properties={})


def history(backend: Backend) -> None:
    backend.warehouse.history(DAILY_PRICES)


def roll_back(backend: Backend) -> None:
    backend.warehouse.rollback(DAILY_PRICES, 1)


def maintain(backend: Backend) -> None:
    now = datetime.now(UTC)
    backend.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now + timedelta(days=30))


EVERY_USE = pytest.mark.parametrize("use", [published_rows, publish, history, roll_back, maintain])


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A data folder in which a table has two snapshots, one of which maintenance would expire."""
    root = tmp_path / "lies" / "here"
    publish(local_backend(root))
    publish(local_backend(root))
    return root


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def require_rejection(use: Callable[[Backend], object], root: Path, original: Path) -> None:
    with pytest.raises(TableOutsideDataFolder) as rejected:
        use(local_backend(root))
    message = str(rejected.value)
    assert (
        f"published.daily_prices lies in {original}/published/daily_prices, outside the data folder {root}" in message
    )
    assert f"run stock-assets relocate; it does not touch {original}" in message


@EVERY_USE
@pytest.mark.parametrize("to", ["copy", "lies", "lies/here/copy"])
def test_a_copy_is_rejected_and_the_original_stays_unchanged(
    original: Path, tmp_path: Path, to: str, use: Callable[[Backend], object]
) -> None:
    before = contents(original)
    shutil.copytree(original, tmp_path / to, dirs_exist_ok=True)

    require_rejection(use, tmp_path / to, original)

    after = contents(original)
    assert {path: after[path] for path in before} == before


@EVERY_USE
def test_a_moved_folder_is_rejected_until_it_is_moved_back(
    original: Path, tmp_path: Path, use: Callable[[Backend], object]
) -> None:
    moved = original.rename(tmp_path / "moved")

    require_rejection(use, moved, original)

    assert not original.exists()
    moved.rename(original)
    assert len(published_rows(local_backend(original))) == 1


@EVERY_USE
def test_a_moved_folder_is_rejected_if_another_took_its_place(
    original: Path, tmp_path: Path, use: Callable[[Backend], object]
) -> None:
    moved = original.rename(tmp_path / "moved")
    publish(local_backend(original))
    before = contents(original)

    require_rejection(use, moved, original)

    assert contents(original) == before


def test_a_moved_folder_with_a_link_at_its_old_path_is_the_same_folder(original: Path, tmp_path: Path) -> None:
    moved = original.rename(tmp_path / "moved")
    original.symlink_to(moved)

    publish(local_backend(moved))

    assert len(local_backend(original).warehouse.history(DAILY_PRICES)) == 3


def test_a_folder_behind_a_link_is_the_same_folder(original: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(original)

    publish(local_backend(link))
    publish(local_backend(original))

    assert len(local_backend(link).warehouse.history(DAILY_PRICES)) == 4
    maintain(local_backend(link))
    assert published_rows(local_backend(link)) == published_rows(local_backend(original)) != []


def test_tables_on_another_disk_are_usable_and_a_copy_of_the_link_is_rejected(original: Path, tmp_path: Path) -> None:
    (original / "published").rename(tmp_path / "disk")
    (original / "published").symlink_to(tmp_path / "disk")
    shutil.copytree(original, tmp_path / "copy", symlinks=True)

    publish(local_backend(original))
    maintain(local_backend(original))
    before = contents(tmp_path / "disk")
    require_rejection(maintain, tmp_path / "copy", original)

    assert contents(tmp_path / "disk") == before


@pytest.mark.parametrize("elsewhere", ["elsewhere/published/daily_prices", "lies/here/published/another"])
def test_metadata_that_name_another_folder_are_rejected(original: Path, tmp_path: Path, elsewhere: str) -> None:
    file = Path(path_of(iceberg.load(original, DAILY_PRICES).metadata_location))
    named = f'"file://{original}/published/daily_prices"'
    text = file.read_text(encoding="utf-8")
    assert named in text
    file.write_text(text.replace(named, f'"file://{tmp_path}/{elsewhere}"'), encoding="utf-8")

    with pytest.raises(TableOutsideDataFolder, match=elsewhere):
        published_rows(local_backend(original))
