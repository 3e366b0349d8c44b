"""The daemon looks for backfills as often as `dagster.yaml` says; a different Dagster keeps its own interval."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from stock_assets.orchestration.instance.dagster_internals import set_backfill_interval
from stock_assets.orchestration.instance.folder import INSTANCE_FILE, configure_instance
from stock_assets.orchestration.instance.run_coordinator import OPTION, PromptRunCoordinator
from stock_assets_tests.support.dagster_internals import (
    BackfillDaemon,
    QueuedRunCoordinator,
    create_daemons_from_instance,
)

DAGSTERS_SECONDS = 30
MODULE = "dagster._daemon.daemon"


class Waits(threading.Event):
    """An event that records how long each wait may take, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return self.is_set()


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Restore Dagster's own loop after the test; earlier tests may have opened an instance in this process."""
    own: Callable[..., Any] = getattr(BackfillDaemon.core_loop, "__wrapped__", BackfillDaemon.core_loop)
    monkeypatch.setattr(BackfillDaemon, "core_loop", own)
    return own


def longest_wait(folder: Path) -> float:
    """Return how long the backfill daemon of an instance waits between two looks, and check the other daemons."""
    event = Waits()
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        daemons = {type(daemon): daemon for daemon in create_daemons_from_instance(instance)}
        assert len(daemons) > 4
        assert [kind for kind in daemons if hasattr(kind.core_loop, "__wrapped__")] in ([], [BackfillDaemon])
        loop = daemons[BackfillDaemon].core_loop(SimpleNamespace(instance=instance), event)
        while not event.seconds:
            next(loop)
    [seconds] = event.seconds
    assert seconds is not None
    return seconds


def edit(folder: Path, before: str, after: str) -> None:
    """Replace a text of the instance's configuration."""
    configure_instance(folder)
    file = folder / INSTANCE_FILE
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_the_daemon_of_a_local_instance_looks_for_backfills_every_5_seconds(tmp_path: Path) -> None:
    configure_instance(tmp_path)
    assert longest_wait(tmp_path) == 5


def test_dagster_yaml_sets_the_interval(tmp_path: Path) -> None:
    edit(tmp_path, f"{OPTION}: 5\n", f"{OPTION}: 12\n")
    assert longest_wait(tmp_path) == 12


def test_without_the_option_dagsters_interval_stays(tmp_path: Path) -> None:
    edit(tmp_path, f"    {OPTION}: 5\n", "")
    assert longest_wait(tmp_path) == pytest.approx(DAGSTERS_SECONDS, abs=5)


def test_a_second_interval_replaces_the_first(unchanged: Callable[..., Any]) -> None:
    set_backfill_interval(3)
    set_backfill_interval(7)
    assert BackfillDaemon.core_loop is not unchanged
    assert BackfillDaemon.core_loop.__wrapped__ is unchanged  # type: ignore[attr-defined]


@pytest.mark.parametrize("daemon", [None, ModuleType(MODULE), SimpleNamespace(BackfillDaemon=type("Other", (), {}))])
def test_another_process_or_a_dagster_with_other_names_keeps_its_own_interval(
    daemon: object, monkeypatch: pytest.MonkeyPatch, unchanged: Callable[..., Any]
) -> None:
    if daemon is None:
        monkeypatch.delitem(sys.modules, MODULE)
    else:
        monkeypatch.setitem(sys.modules, MODULE, daemon)
    set_backfill_interval(3)
    assert BackfillDaemon.core_loop is unchanged


def test_it_has_every_option_of_dagsters_own_queue() -> None:
    assert {*PromptRunCoordinator.config_type()} == {*QueuedRunCoordinator.config_type(), OPTION}  # type: ignore[misc]  # a mapping
