"""Kills at random times: of loads, requests and maintenance, and of the commands that repair, migrate and copy."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.backup import back_up, restore
from stock_assets.backends.local.relocation import relocate
from stock_assets.core.clock import utc_now
from stock_assets.ingest.response_packs import pack_responses
from stock_assets.maintenance.migrate import migrate
from stock_assets.maintenance.purge import purge
from stock_assets.maintenance.repair import Repair
from stock_assets.maintenance.verify import Depth, verify
from stock_assets_tests.faults.damage import delete, truncate
from stock_assets_tests.faults.folder import Folder, load_sample
from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.faults.work import Prepared
from stock_assets_tests.support.crash_workloads import WORKLOADS
from stock_assets_tests.support.earlier_layout import as_layout_1
from stock_assets_tests.support.processes import BEGIN, begun
from stock_assets_tests.support.publishers import PATIENCE_SECONDS

pytestmark = pytest.mark.faults
KILLS = 25 if FULL else 3
"""Of each piece of work; there are four."""
KILLS_OF_COMMANDS = 10 if FULL else 1
ATTEMPTS = 10
"""For each kill. A kill that comes too late shows how long the work takes at most: it may have been measured when the
machine was busy."""


def killed(target: Callable[..., None], arguments: tuple[object, ...], after_seconds: float) -> bool:
    """Run a function in another process and kill it some seconds after it began; return whether it had not ended."""
    process, _ = begun(_announced, target, arguments)
    process.join(after_seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _announced(target: Callable[..., None], arguments: tuple[object, ...], events: Connection) -> None:
    events.send(BEGIN)
    target(*arguments)


def duration(target: Callable[..., None], *arguments: object) -> float:
    """Return the seconds that a function takes in another process."""
    process, _ = begun(_announced, target, arguments)
    began = time.monotonic()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    return time.monotonic() - began


def time_of_kill(number: int, kills: int, took: float) -> float:
    """Return a random time in one of some equal parts of the time that a piece of work takes."""
    return (number % kills + random.random()) / kills * took  # noqa: S311 (any time will do)


def work(name: str, root: Path) -> None:
    """Do a piece of work, in another process."""
    WORKLOADS[name].work(root)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_kill_at_any_time_leaves_the_old_or_the_new_rows(name: str, tmp_path: Path, tally: Tally) -> None:
    prepared = Prepared.of(name, tmp_path / "prepared")
    with prepared.folder() as root:
        took = duration(work, name, root)
    interrupted = 0
    for number in range(ATTEMPTS * KILLS):
        with prepared.folder() as root:
            seconds = time_of_kill(number, KILLS, took)
            if not killed(work, (name, root), seconds):
                took = seconds
                continue
            result, problem = prepared.result(root)
        tally.count(f"killed: {name}", result)
        assert problem == ""
        interrupted += 1
        if interrupted == KILLS:
            return
    pytest.fail(f"only {interrupted} kills interrupted the work")


@dataclass(frozen=True)
class Command:
    """A command that is killed, and run again.

    Attributes:
        prepare: brings a copy of the sample's folder into the state before the command; returns the arguments.
        run: the command.
        done: the folder that has the same rows afterwards.
    """

    prepare: Callable[[Path, Path], tuple[Path, ...]]
    run: Callable[..., None]
    done: Callable[[Path, Path], Path]


def damaged(pattern: str, how: Callable[[Path], None]) -> Callable[[Path, Path], tuple[Path, ...]]:
    def prepare(original: Path, folder: Path) -> tuple[Path, ...]:
        root = Folder.copy_of(original, folder / "data").root
        how(max(root.glob(pattern), key=lambda file: file.stat().st_mtime_ns))
        return (root,)

    return prepare


def packed(original: Path, folder: Path) -> tuple[Path, ...]:
    copy = Folder.copy_of(original, folder / "data")
    pack_responses(copy.backend, datetime.now(UTC) + timedelta(days=30))
    truncate(copy.one("raw/packs/daily_prices/*/*.zip"))
    return (copy.root,)


def run_repair(root: Path) -> None:
    """Repair the folder, as the command does."""
    assert Repair(Folder(root).parts, LocalBackend(root), lambda _: None).apply()


def copied(original: Path, folder: Path) -> tuple[Path, ...]:
    shutil.copytree(original, folder / "data")
    return (folder / "data",)


def run_relocate(root: Path) -> None:
    """Relocate the folder, as the command does."""
    relocate(root)


def backed_up(original: Path, folder: Path) -> tuple[Path, ...]:
    back_up(original, folder / "backup", original / "dagster_home")
    return folder / "backup", folder / "data"


def run_restore(backup: Path, root: Path) -> None:
    """Restore the backup, as the command does; a folder without the marker was restored completely."""
    if not root.exists() or (root / "restoring").exists():
        restore(backup, root)


def of_layout_1(original: Path, folder: Path) -> tuple[Path, ...]:
    as_layout_1(original, folder / "data")
    return (folder / "data",)


def run_migrate(root: Path) -> None:
    """Migrate the folder, as the command does."""
    migrate(Folder(root).parts, root, root / "dagster_home", datetime.now(UTC), lambda _: None)


def to_back_up(original: Path, folder: Path) -> tuple[Path, ...]:
    return original, folder / "data", original / "dagster_home"


def run_backup(root: Path, target: Path, instance: Path) -> None:
    """Back the folder up, as the command does; a backup appears when it is complete."""
    if not target.exists():
        back_up(root, target, instance)


COMMANDS = {
    "repair of a table": Command(
        damaged("published/daily_prices/data/*/*.parquet", delete), run_repair, lambda _, folder: folder / "data"
    ),
    "repair of the ledger": Command(damaged("ledger.db", truncate), run_repair, lambda _, folder: folder / "data"),
    "repair of the catalog": Command(damaged("catalog.db", delete), run_repair, lambda _, folder: folder / "data"),
    "repair of a pack": Command(packed, run_repair, lambda _, folder: folder / "data"),
    "migrate": Command(of_layout_1, run_migrate, lambda _, folder: folder / "data"),
    "relocate": Command(copied, run_relocate, lambda _, folder: folder / "data"),
    "restore": Command(backed_up, run_restore, lambda _, folder: folder / "data"),
    "backup": Command(to_back_up, run_backup, lambda original, _: original),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("original") / "data"
    load_sample(root)
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_is_completed_by_running_it_again(
    name: str, original: Path, tmp_path: Path, tally: Tally
) -> None:
    command = COMMANDS[name]
    rows = Folder(original).rows()
    first = tmp_path / "first"
    first.mkdir()
    took = duration(command.run, *command.prepare(original, first))
    interrupted = 0
    for number in range(ATTEMPTS * KILLS_OF_COMMANDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = command.prepare(original, folder)
        seconds = time_of_kill(number, KILLS_OF_COMMANDS, took)
        if not killed(command.run, arguments, seconds):
            took = seconds
        else:
            command.run(*arguments)
            after = Folder(command.done(original, folder))
            right = after.rows() == rows and not list(verify(after.parts, Depth(deep=True)))
            tally.count(f"killed: {name}", "repaired" if right else "wrong")
            assert right
            interrupted += 1
        shutil.rmtree(folder)
        if interrupted == KILLS_OF_COMMANDS:
            return
    pytest.fail(f"only {interrupted} kills interrupted the command")


def run_purge(root: Path, symbol: str) -> None:
    """Purge a symbol, as the command does."""
    purge(LocalBackend(root), symbol, utc_now())


def test_a_killed_purge_removes_no_other_row_and_is_completed_by_running_it_again(
    original: Path, tmp_path: Path, tally: Tally
) -> None:
    rows = Folder(original).rows()
    symbol = str(rows[0]["symbol"])
    kept = [row for row in rows if row["symbol"] != symbol]
    took = duration(run_purge, Folder.copy_of(original, tmp_path / "first").root, symbol)
    interrupted = 0
    for number in range(ATTEMPTS * KILLS):
        root = Folder.copy_of(original, tmp_path / str(number)).root
        seconds = time_of_kill(number, KILLS, took)
        if not killed(run_purge, (root, symbol), seconds):
            took = seconds
        else:
            found = Folder(root).rows()
            assert [row for row in found if row["symbol"] != symbol] == kept
            purge(LocalBackend(root), symbol, utc_now())
            right = Folder(root).rows() == kept and not list(verify(Folder(root).parts, Depth(deep=True)))
            tally.count("killed: purge", "repaired" if right else "wrong")
            assert right
            interrupted += 1
        shutil.rmtree(root)
        if interrupted == KILLS:
            return
    pytest.fail(f"only {interrupted} kills interrupted the purge")
