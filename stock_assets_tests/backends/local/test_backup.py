"""Backups: consistent while loads run, restored at another place, complete and intact there."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest

from stock_assets.backends.local import backup
from stock_assets.backends.local.backup import back_up, restore
from stock_assets.core.errors import DamagedFiles, SettingsError
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.response_packs import PACK_AFTER, pack_responses
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.verify import Depth, verify
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.faults.folder import LOADED, Folder, load_sample, universe
from stock_assets_tests.support.shell import Shell
from stock_assets_tests.support.steps import load_range, local_backend


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("original") / "data"
    load_sample(root)
    return root


def problems(folder: Folder) -> list[str]:
    return [str(one) for one in verify(folder.parts, Depth(deep=True, recompute=Sample()))]


def test_a_restored_backup_has_the_same_rows_snapshots_and_requests(original: Path, tmp_path: Path) -> None:
    before = Folder(original).contents()
    back_up(original, tmp_path / "copy", original / "dagster_home")
    assert Folder(original).contents() == before

    restore(tmp_path / "copy", tmp_path / "elsewhere/data")

    folder, source = Folder(tmp_path / "elsewhere/data"), Folder(original)
    assert folder.rows() == source.rows()
    assert problems(folder) == []
    for kind in ("daily_prices", "splits"):
        assert folder.backend.ledger.fetches(kind) == source.backend.ledger.fetches(kind)  # type: ignore[arg-type]  # the value of the enumeration
    ids = [[one.snapshot_id for one in each.backend.warehouse.history(DAILY_PRICES)] for each in (folder, source)]
    assert ids[0] == ids[1]
    folder.load_again()
    assert Folder(original).contents() == before


def test_a_restore_that_was_killed_is_completed_by_the_same_command(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("copy", "other"):
        back_up(original, tmp_path / name, original / "dagster_home")
    root = tmp_path / "data"

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(backup, "relocate", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(tmp_path / "copy", root)
    with pytest.raises(SettingsError, match="is not empty"):
        restore(tmp_path / "other", root)

    restore(tmp_path / "copy", root)

    assert Folder(root).rows() == Folder(original).rows()
    assert problems(Folder(root)) == []
    with pytest.raises(SettingsError, match="is not empty"):
        restore(tmp_path / "copy", root)


def test_a_backup_during_loads_is_one_snapshot_with_its_responses(original: Path, tmp_path: Path) -> None:
    busy = Folder.copy_of(original, tmp_path / "busy")
    stopped = Event()

    def load() -> None:
        for day in LOADED[0] * 20:
            if stopped.is_set():
                return
            load_range(local_backend(busy.root), RecordedSource(), universe(), day, day)
            shutil.rmtree(busy.root / "staged/tables")
            pack_responses(busy.backend, datetime.now(UTC) + PACK_AFTER)
            local_backend(busy.root).warehouse.rollback(
                DAILY_PRICES, local_backend(busy.root).warehouse.history(DAILY_PRICES)[-1].snapshot_id
            )

    loads = Thread(target=load)
    loads.start()
    try:
        for number in range(3):
            back_up(busy.root, tmp_path / f"copy{number}", busy.root / "dagster_home")
    finally:
        stopped.set()
        loads.join()

    for number in range(3):
        restore(tmp_path / f"copy{number}", tmp_path / f"restored{number}")
        folder = Folder(tmp_path / f"restored{number}")
        assert [str(one) for one in verify(folder.parts, Depth(deep=True))] == []
        [current] = [one for one in folder.backend.warehouse.history(DAILY_PRICES) if one.is_current]
        assert len(folder.rows()) == current.rows


def test_a_file_that_maintenance_removes_meanwhile_is_not_missing_in_the_backup(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, failures = backup._copy, iter([True])  # noqa: SLF001 (the edge to the disk)

    def vanish_once(root: Path, partial: Path, file: Path) -> None:
        if file.suffix == ".parquet" and next(failures, False):
            raise FileNotFoundError(2, "removed", str(file))
        copy(root, partial, file)

    monkeypatch.setattr(backup, "_copy", vanish_once)
    back_up(original, tmp_path / "copy", original / "dagster_home")
    restore(tmp_path / "copy", tmp_path / "restored")
    assert problems(Folder(tmp_path / "restored")) == []


def test_a_damaged_folder_is_not_backed_up_as_if_it_were_complete(original: Path, tmp_path: Path) -> None:
    folder = Folder.copy_of(original, tmp_path / "damaged")
    folder.one("published/daily_prices/data/*/*.parquet").unlink()
    with pytest.raises(DamagedFiles, match="no backup was made"):
        back_up(folder.root, tmp_path / "copy", folder.root / "dagster_home")
    assert not (tmp_path / "copy").exists()


def test_nothing_is_overwritten(original: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").touch()
    with pytest.raises(SettingsError, match="not empty"):
        back_up(original, tmp_path / "used", original / "dagster_home")
    with pytest.raises(SettingsError, match="inside the data folder"):
        back_up(original, original / "copy", original / "dagster_home")
    back_up(original, tmp_path / "copy", original / "dagster_home")
    with pytest.raises(SettingsError, match="not empty"):
        restore(tmp_path / "copy", original)
    with pytest.raises(SettingsError, match="no backup"):
        restore(tmp_path / "used", tmp_path / "new")


def test_the_commands_copy_verify_and_repair_the_folder_with_its_run_history(original: Path, tmp_path: Path) -> None:
    shutil.copytree(original, tmp_path / "data/recorded")
    shell = Shell(tmp_path / "data")
    assert "stock-assets relocate" in shell.run_main("summary", code=1).stderr
    assert "published.daily_prices: moved from" in shell.run("relocate").stdout
    shell.run("backup", str(tmp_path / "copy"))

    restored = Shell(tmp_path / "restored")
    restored.run("restore", str(tmp_path / "copy"))
    assert "No problem found." in restored.run("verify", "--deep", "--recompute", "1").stdout

    root = restored.settings.root
    (root / "catalog.db").unlink()
    assert "stock-assets repair --apply" in restored.run_main("summary", code=1).stderr
    assert '"command": "stock-assets repair --apply"' in restored.run("verify", "--json", code=1).stdout
    assert "1. write catalog.db again" in restored.run("repair").stdout
    assert not (root / "catalog.db").exists()
    assert "Nothing is damaged now." in restored.run("repair", "--apply").stdout
    assert "2013-02-28" in restored.run("summary").stdout
