"""A recorded load is found again, unchanged, by its sessions or as the newest of all."""

from datetime import UTC, datetime, timedelta

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import NothingStaged
from stock_assets.loads.load import (
    drop_incomplete_loads,
    drop_old_loads,
    newest_load,
    newest_load_of_any_sessions,
)
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, calm_source

WEEK = timedelta(days=7)


@pytest.fixture
def scene(backend: Backend) -> Scene:
    scene = Scene(backend, calm_source())
    scene.fetch(TWO_WEEKS)
    return scene


def test_the_newest_load_of_the_sessions_is_read_as_it_was_recorded(scene: Scene) -> None:
    scene.stage(FIRST_WEEK)
    newest = scene.stage(FIRST_WEEK)
    other = scene.stage(SECOND_WEEK)

    assert newest_load(scene.backend, FIRST_WEEK) == newest
    assert newest_load_of_any_sessions(scene.backend) == other
    assert len(newest.response_keys) == len(scene.universe.symbols)


def test_without_a_load_of_exactly_these_sessions_the_error_names_the_remedy(scene: Scene) -> None:
    with pytest.raises(NothingStaged, match=r"No load is staged\. Materialize staged/daily_prices first"):
        newest_load_of_any_sessions(scene.backend)
    scene.stage(SECOND_WEEK)
    with pytest.raises(NothingStaged, match="No load of the sessions 2012-03-01 to 2012-03-14 is staged"):
        newest_load(scene.backend, TWO_WEEKS)


def test_old_loads_and_loads_without_a_record_are_dropped_separately(scene: Scene) -> None:
    recorded, incomplete = scene.stage(FIRST_WEEK), scene.stage(SECOND_WEEK)
    for key in scene.backend.objects.keys(f"staged/loads/{SECOND_WEEK[0]}_{SECOND_WEEK[-1]}/"):
        scene.backend.objects.delete(key)
    now = datetime.now(UTC)

    assert drop_incomplete_loads(scene.backend, older_than=WEEK, now=now) == 0
    assert drop_incomplete_loads(scene.backend, older_than=WEEK, now=now + 2 * WEEK) == 1
    assert scene.backend.warehouse.staged_loads() == [recorded.load_id] != [incomplete.load_id]
    assert drop_old_loads(scene.backend, older_than=WEEK, now=now + 2 * WEEK) == 1
    assert scene.backend.warehouse.staged_loads() == []
