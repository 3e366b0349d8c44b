"""A folder of layout 1 becomes one of the current layout with the same rows, and stays as a backup; newer ones stay."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import FetchKind
from stock_assets.backends.layout import LAYOUT_VERSION
from stock_assets.backends.local.warehouse import DuckDbWarehouse
from stock_assets.core.errors import UnsupportedLayout
from stock_assets.maintenance.migrate import Migrated, migrate
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.verify import Depth, verify
from stock_assets_tests.faults.folder import Folder, load_sample
from stock_assets_tests.support.earlier_layout import as_layout_1
from stock_assets_tests.support.shell import Shell

AT = datetime.now(UTC)


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("current") / "data"
    load_sample(root)
    return root


@pytest.fixture
def folder(current: Path, tmp_path: Path) -> Folder:
    """The same data as releases with layout 1 stored them."""
    root = tmp_path / "data"
    as_layout_1(current, root)
    return Folder(root)


def run(folder: Folder) -> Migrated | None:
    return migrate(folder.parts, folder.root, folder.root / "dagster_home", AT, lambda _: None)


def assert_migrated(folder: Folder, current: Path, before: dict[str, bytes]) -> None:
    assert folder.rows() == Folder(current).rows()
    assert list(verify(folder.parts, Depth(deep=True, recompute=Sample()))) == []
    times = [
        sorted((fetch.symbol, fetch.fetched_at) for fetch in one.backend.ledger.fetches(FetchKind.PRICES))
        for one in (folder, Folder(current))
    ]
    assert times[0] == times[1]
    # The backup is as it was.
    assert Folder(folder.root.with_name("data.layout-1")).contents() == before
    folder.load_again()
    assert folder.rows() == Folder(current).rows()


def test_the_new_folder_is_computed_with_the_memory_limit_of_the_settings(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    original = DuckDbWarehouse._duckdb  # noqa: SLF001 (only there is DuckDB opened)

    def opened(self: DuckDbWarehouse, spill: Path | None = None) -> object:
        used.append(self._memory_limit_mb)
        return original(self, spill)

    monkeypatch.setattr(DuckDbWarehouse, "_duckdb", opened)

    migrate(replace(folder.parts, memory_limit_mb=300), folder.root, folder.root / "dagster_home", AT, lambda _: None)

    assert set(used) == {300}


def test_a_folder_of_layout_1_has_the_same_rows_and_requests_afterwards(folder: Folder, current: Path) -> None:
    before = folder.contents()
    with pytest.raises(UnsupportedLayout, match="run: stock-assets migrate"):
        folder.rows()

    done = run(folder)

    assert done is not None
    assert done.notes == []
    assert_migrated(folder, current, before)
    assert run(folder) is None


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_migration_that_was_killed_is_completed_by_running_it_again(
    folder: Folder, current: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before one of the two renames that exchange the folders, or before the last step."""
    before = folder.contents()
    with monkeypatch.context() as patch:
        rename, calls = Path.rename, iter(range(1, 4))

        def killed(path: Path, target: Path) -> Path:
            if path.parent == folder.root.parent and next(calls) == step:
                raise KeyboardInterrupt
            return rename(path, target)

        def killed_in_relocation(root: Path) -> None:
            raise KeyboardInterrupt

        patch.setattr(Path, "rename", killed)
        if step == 3:
            patch.setattr("stock_assets.maintenance.migrate.relocate", killed_in_relocation)
        with pytest.raises(KeyboardInterrupt):
            run(folder)

    assert run(folder) is not None

    assert_migrated(folder, current, before)


def test_the_command_migrates_once(folder: Folder) -> None:
    shell = Shell(folder.root.parent / "shell")
    shell.settings.root.parent.mkdir(parents=True)
    folder.root.rename(shell.settings.root)
    assert "run: stock-assets migrate" in shell.run_main("tables", code=1).stderr

    said = shell.run_main("migrate").stdout

    assert f"8 sessions loaded again. The earlier folder is {shell.settings.root}.layout-1." in said.replace("\n", " ")
    assert "Nothing to do" in shell.run_main("migrate").stdout
    shell.run_main("verify", "--deep")


def test_a_newer_folder_is_refused_by_its_version(folder: Folder) -> None:
    (folder.root / "layout.json").write_text(json.dumps({"layout_version": LAYOUT_VERSION + 1}), encoding="utf-8")
    before = folder.contents()
    with pytest.raises(UnsupportedLayout, match=f"layout version {LAYOUT_VERSION + 1}, written by a newer release"):
        run(folder)
    assert folder.contents() == before
