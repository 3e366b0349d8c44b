"""Copies, moves and restored backups in random order: the same rows everywhere, and no other folder is touched."""

import random
import shutil
from pathlib import Path

import pytest

from stock_assets.backends.local.backup import back_up, restore
from stock_assets.backends.local.relocation import relocate
from stock_assets.core.errors import TableOutsideDataFolder
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.maintenance.verify import Depth, verify
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.faults.folder import LOADED, Folder, load_sample, universe
from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.support.steps import load_range

pytestmark = pytest.mark.faults
ROUNDS = 12 if FULL else 1
STEPS = 8 if FULL else 5


def copy(folder: Folder, target: Path) -> Folder:
    shutil.copytree(folder.root, target)
    return _relocated(target)


def move(folder: Folder, target: Path) -> Folder:
    folder.root.rename(target)
    return _relocated(target)


def back_up_and_restore(folder: Folder, target: Path) -> Folder:
    backup = target.with_name(f"{target.name}-backup")
    back_up(folder.root, backup, folder.root / "dagster_home")
    restore(backup, target)
    return Folder(target)


def _relocated(target: Path) -> Folder:
    """Relocate a copy, which is refused until then."""
    with pytest.raises(TableOutsideDataFolder, match="stock-assets relocate"):
        Folder(target).rows()
    relocate(target)
    return Folder(target)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("original") / "data"
    load_sample(root)
    return root


@pytest.mark.parametrize("number", range(ROUNDS))
def test_copies_moves_and_restores_in_any_order(number: int, original: Path, tmp_path: Path, tally: Tally) -> None:
    dice = random.Random(f"copies {number}")  # noqa: S311 (repeatable)
    folder = Folder.copy_of(original, tmp_path / "0")
    rows = folder.rows()
    left: dict[Path, dict[str, bytes]] = {}
    operations = [copy, move, back_up_and_restore] * STEPS
    for step, operation in enumerate(dice.sample(operations, STEPS), start=1):
        target = tmp_path / f"{step} {operation.__name__}"
        moved = operation(folder, target)
        if operation is not move:
            left[folder.root] = folder.contents()
        folder = moved
        # Commits in the new folder: a load, and maintenance that removes files.
        session = dice.choice([*LOADED[0], *LOADED[1]])
        load_range(folder.backend, RecordedSource(), universe(), session, session)
        snapshots = folder.backend.warehouse.history(DAILY_PRICES)
        later = snapshots[0].committed_at.replace(year=snapshots[0].committed_at.year + 1)
        folder.backend.warehouse.maintain(DAILY_PRICES, keep_since=later, at=later)

        same = folder.rows() == rows
        intact = not list(verify(folder.parts, Depth(deep=True)))
        untouched = all(Folder(root).contents() == contents for root, contents in left.items() if root.exists())
        tally.count("copy, move and restore", "survived" if same and intact and untouched else "wrong")
        assert (same, intact, untouched) == (True, True, True), (step, operation)
