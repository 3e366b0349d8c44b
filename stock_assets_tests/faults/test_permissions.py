"""A read-only folder, and two users who share one: the error names path and permission, and no row is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stock_assets_tests.faults.table import Tally
from stock_assets_tests.faults.work import FILE_ERRORS, Prepared, message, open_folder
from stock_assets_tests.support.scenes import content
from stock_assets_tests.support.steps import local_backend

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as other users"),
]
FIRST, SECOND, GROUP = 50_001, 50_002, 50_003
"""Ids of users and a group that this machine need not have."""
PIECES = ("publish", "fetch", "maintenance")


@contextmanager
def acting_as(user: int, umask: int = 0o022) -> Iterator[None]:
    """Be another user, without root's rights; the group is that of both users."""
    before = os.umask(umask)
    os.setegid(GROUP)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(before)


def give(root: Path, user: int, *, shared: bool) -> None:
    """Let a user own all files of a folder; the group may write too if the folder is shared."""
    for path in (root, *root.rglob("*")):
        os.chown(path, user, GROUP)
        if shared:
            path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060))


def attempt(prepared: Prepared, root: Path) -> str:
    """Do the work; return the text of its error, empty if it succeeds."""
    try:
        prepared.work(root)
    except FILE_ERRORS as error:
        return message(error)
    return ""


@pytest.fixture(scope="module", params=PIECES)
def prepared(request: pytest.FixtureRequest) -> Iterator[Prepared]:
    with open_folder() as folder:
        yield Prepared.of(request.param, folder / "work")


def test_a_read_only_folder_is_readable_and_stays_as_it_is(prepared: Prepared, tally: Tally) -> None:
    with prepared.folder() as root:
        give(root, FIRST, shared=False)
        modes = {path: path.stat().st_mode for path in (root, *root.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        with acting_as(FIRST):
            assert content(local_backend(root)) == prepared.expected.before
            said = attempt(prepared, root)
            assert str(root) in said
            assert "permission" in said.lower()
            assert {root, *root.rglob("*")} == modes.keys()
            assert content(local_backend(root)) == prepared.expected.before
        for path, mode in modes.items():
            path.chmod(mode)
        with acting_as(FIRST):
            result, problem = prepared.result(root)
        tally.count("read-only folder", result)
        assert problem == ""


def test_a_user_without_permission_reads_and_changes_nothing(prepared: Prepared, tally: Tally) -> None:
    with prepared.folder() as root:
        give(root, FIRST, shared=False)
        with acting_as(SECOND):
            assert content(local_backend(root)) == prepared.expected.before
            assert "permission" in attempt(prepared, root).lower()
        with acting_as(FIRST):
            result, problem = prepared.result(root)
        tally.count("two users, one without permission", result)
        assert problem == ""


def test_two_users_of_a_shared_folder_take_turns(prepared: Prepared, tally: Tally) -> None:
    with prepared.folder() as root:
        give(root, FIRST, shared=True)
        with acting_as(SECOND, umask=0o002):
            prepared.work(root)
        with acting_as(FIRST, umask=0o002):
            result, problem = prepared.result(root)
        with acting_as(SECOND, umask=0o002):
            assert content(local_backend(root)) == prepared.expected.finished
        tally.count("two users who share a folder", result)
        assert problem == ""
