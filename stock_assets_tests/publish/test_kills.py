"""Consumers see all of a publish or nothing, also if its process is killed or other processes publish at once."""

import random
import signal
import time
from datetime import date
from pathlib import Path

import pytest

from stock_assets.core.tables import DAILY_PRICES
from stock_assets_tests.support.processes import begun, fork_server
from stock_assets_tests.support.publishers import PATIENCE_SECONDS, VERSIONS, publish_at_once, publish_version, version
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.steps import FIVE, local_backend

KILLS, ROUNDS = 25, 8
pytestmark = pytest.mark.slow

Content = tuple[list[dict[str, object]], list[dict[str, object]]]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Content]:
    """The published rows of each version after an undisturbed publish."""
    return {
        name: rebuilt(
            local_backend(tmp_path_factory.mktemp(name)), Scene(local_backend(Path()), version(name)), TWO_WEEKS
        )
        for name in VERSIONS
    }


def kill_during_publish(root: Path, name: str, after_seconds: float) -> bool:
    """Kill a process some seconds after it began to publish; return whether the publish had not ended by then."""
    process, receiver = begun(publish_version, root, name)
    time.sleep(after_seconds)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    try:
        return bool(receiver.recv() != "end")
    except EOFError:
        return True


def timed_publish(root: Path, name: str) -> float:
    """Publish the staged load, as the next run would; return the seconds that it took."""
    scene = Scene(local_backend(root), version(name))
    began = time.monotonic()
    scene.publish(TWO_WEEKS)
    return time.monotonic() - began


def check_killed_publishes(root: Path, kills: int, versions: dict[str, Content]) -> None:
    """Kill publishes of B over A and of A over B, at times spread over a publish, until enough were interrupted."""
    old, new = VERSIONS
    first = Scene(local_backend(root), version(old))
    first.fetch(TWO_WEEKS)
    first.stage(TWO_WEEKS)
    took = timed_publish(root, old)
    interrupted = 0
    for number in range(4 * kills):
        share = (number % kills + random.random()) / kills * 1.2  # noqa: S311 (any time will do)
        interrupted += kill_during_publish(root, new, share * took)

        prices, quarantine = content(local_backend(root))

        assert prices in (versions[old][0], versions[new][0])
        assert quarantine in (versions[old][1], versions[new][1])
        if prices == versions[new][0]:
            # Quarantine is committed first: every bar is always in one of the two tables.
            assert quarantine == versions[new][1]
        took = timed_publish(root, new)
        assert content(local_backend(root)) == versions[new]
        old, new = new, old
        if interrupted == kills:
            return
    pytest.fail(f"of {4 * kills} kills only {interrupted} interrupted a publish")


def test_many_killed_publishes_leave_the_old_or_the_new_rows(tmp_path: Path, versions: dict[str, Content]) -> None:
    root = tmp_path / "backend"
    check_killed_publishes(root, KILLS, versions)
    history = local_backend(root).warehouse.history(DAILY_PRICES)
    assert {snapshot.rows for snapshot in history} == {len(FIVE.symbols) * len(TWO_WEEKS) - 1}


def publish_overlapping(tmp_path: Path, ranges: list[tuple[date, date]], rounds: int) -> None:
    """Publish each range from its own process, all at the same time, in a new backend each round."""
    source = wavy_source()
    source.set_bar("MSFT", TWO_WEEKS[4], "100,102,99,101,-5")
    roots = [tmp_path / f"round {number}" for number in range(rounds)]
    for root in roots:
        Scene(local_backend(root), source).fetch(TWO_WEEKS)
    context = fork_server()
    barrier = context.Barrier(len(ranges))
    processes = [
        context.Process(target=publish_at_once, args=(roots, first, last, barrier), daemon=True)
        for first, last in ranges
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)

    assert [process.exitcode for process in processes] == [0] * len(ranges)
    expected = rebuilt(local_backend(tmp_path / "rebuilt"), Scene(local_backend(Path()), source), TWO_WEEKS)
    for root in roots:
        assert content(local_backend(root)) == expected


def test_four_processes_that_publish_overlapping_ranges_neither_lose_nor_duplicate_rows(tmp_path: Path) -> None:
    ranges = [(TWO_WEEKS[first], TWO_WEEKS[last]) for first, last in ((0, 4), (2, 6), (4, 9), (0, 9))]
    publish_overlapping(tmp_path, ranges, ROUNDS)
