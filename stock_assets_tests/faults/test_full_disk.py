"""A full disk at every level of free space: consumers read the old or the new rows, and the error names the disk."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.faults.work import FILE_ERRORS, Prepared, message

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk of a given size"),
]
LEVELS = 20
PIECES = ("first load", "publish", "fetch") if FULL else ("publish",)
SHOWN = range(LEVELS) if FULL else range(1, LEVELS, 4)
MB = 1024 * 1024


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False)  # noqa: S607 (mount's path varies)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607 (as above)


@pytest.fixture(scope="module", params=PIECES)
def prepared(request: pytest.FixtureRequest, disk: Path) -> Prepared:
    return Prepared.of(request.param, disk / request.param)


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def fill(disk: Path, left: int) -> Path:
    """Write a file that leaves some bytes free."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free(disk) - left))
    return filler


@pytest.fixture(scope="module")
def needed(prepared: Prepared, disk: Path) -> int:
    """Bytes that the work needs: the least number of 256 kB with which it succeeds."""
    for number in range(1, 64):
        with prepared.folder() as root:
            filler = fill(disk, number * MB // 4)
            try:
                prepared.work(root)
            except FILE_ERRORS:
                continue
            finally:
                filler.unlink()
            return number * MB // 4
    raise AssertionError("the work does not fit into 16 MB")


@pytest.mark.parametrize("level", SHOWN)
def test_a_full_disk_leaves_the_old_or_the_new_rows(
    prepared: Prepared, disk: Path, needed: int, level: int, tally: Tally
) -> None:
    with prepared.folder() as root:
        filler = fill(disk, needed * level // LEVELS)
        said = ""
        try:
            prepared.work(root)
        except FILE_ERRORS as error:
            said = message(error)
        while_full, problem = prepared.result(root, finish=False)
        filler.unlink()
        result, later = prepared.result(root)
        tally.count(f"full disk: {prepared.name}", result if while_full == "survived" else while_full)
        assert (problem, later) == ("", "")
        assert f"No space is left on the disk of {root}" in said or not said
        # The smallest levels never suffice; a request needs much less than the space that was measured.
        assert said or level >= LEVELS // 5
