"""Whatever a power failure loses, consumers read the old or the new rows, and the next load succeeds."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stock_assets_tests.faults.table import FULL, Tally
from stock_assets_tests.support.crash_disk import CrashDisk, CrashState
from stock_assets_tests.support.crash_workloads import WORKLOADS, Expected, examine
from stock_assets_tests.support.scenes import content
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.system_calls import record, why_no_record

pytestmark = [pytest.mark.faults, pytest.mark.skipif(bool(why_no_record()), reason=str(why_no_record()))]
STATES = 40
"""Crashes in one piece of work that the smaller part examines, spread over all of them."""
LOADS, MORE_LOADS = 3, 150
"""Examined crashes that a load follows, in the smaller part and in the full one."""


def expectations(root: Path, name: str) -> Expected:
    """Do the work without a crash, and the load that follows; return what consumers see."""
    workload = WORKLOADS[name]
    before = content(local_backend(root))
    workload.work(root)
    after = content(local_backend(root))
    workload.finish(root)
    return Expected(before, after, content(local_backend(root)))


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_crash_leaves_the_old_or_the_new_rows(name: str, tmp_path: Path, tally: Tally) -> None:
    root, copy = tmp_path / "backend", tmp_path / "copy"
    root.mkdir()
    WORKLOADS[name].prepare(root)
    shutil.copytree(root, copy)
    expected = expectations(root, name)
    shutil.rmtree(root)
    shutil.copytree(copy, root)
    disk = CrashDisk(root)

    program = [sys.executable, "-m", "stock_assets_tests.support.crash_workloads", name, str(root)]
    calls = record(program, tmp_path / "calls")
    states = list(disk.replay(calls))
    assert_complete(disk, root)

    chosen = states if FULL else spread(states, STATES)
    loads = spread(chosen, MORE_LOADS if FULL else LOADS)
    problems = []
    for state in chosen:
        state.write(root)
        problem = examine(root, name, expected, finish=any(state is one for one in loads))
        tally.count(f"power failure: {name}", "failed" if problem else "survived")
        problems += [f"{describe(state, len(calls))}: {problem}"] if problem else []
    assert problems == []
    durable = disk.final("nothing")
    durable.write(root)
    after = Expected(expected.after, expected.after, expected.finished)
    assert examine(root, name, after, finish=True) == ""


def spread(states: Sequence[CrashState], number: int) -> list[CrashState]:
    """Return some of the states, at equal distances; the last one is among them."""
    return list(states[:: -max(1, len(states) // number)])


def assert_complete(disk: CrashDisk, root: Path) -> None:
    """Compare the simulated folder with the real one: no call was overlooked."""
    simulated = disk.final("everything").tree
    real = CrashDisk(root).final("everything").tree
    assert flat(simulated) == flat(real)


def flat(tree: object, prefix: str = "") -> dict[str, object]:
    """Return files by path."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {path: body for name, node in tree.items() for path, body in flat(node, f"{prefix}/{name}").items()}


def describe(state: CrashState, calls: int) -> str:
    return f"crash after change {state.changes} of {calls} calls ({state.last}), kept: {state.variant}"
