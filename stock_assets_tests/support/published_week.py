"""A data folder in which the first week is published: loaded once, and restored for each test.

Belongs here: the fixture. Does not belong here: what the tests change in the folder (`scenes`).
"""

import shutil
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import closing_time
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets_tests.support.scenes import FIRST_WEEK, Scene, calm_source
from stock_assets_tests.support.steps import local_backend

PublishedWeek = Callable[[Sequence[date]], Backend]
"""Return a local backend with the first week published, whose responses have the bars of some sessions."""


@pytest.fixture(scope="session")
def published_week(tmp_path_factory: pytest.TempPathFactory) -> PublishedWeek:
    """Return the function; its folders are at the same place in each test, because tables contain their own paths."""
    folders: dict[tuple[date, ...], Path] = {}

    def restored(sessions: Sequence[date]) -> Backend:
        folder = folders.get(tuple(sessions))
        if folder is None:
            folder = folders[tuple(sessions)] = tmp_path_factory.mktemp("published_week")
            scene = Scene(local_backend(folder / "backend"), calm_source(sessions=sessions))
            # As early as possible, so that a test can request later sessions when they close.
            at = closing_time(max(sessions)) + timedelta(hours=1)
            fetch_prices(scene, FIRST_WEEK, now=lambda: at)
            scene.stage(FIRST_WEEK)
            scene.publish(FIRST_WEEK)
            shutil.copytree(folder / "backend", folder / "original")
        shutil.rmtree(folder / "backend")
        shutil.copytree(folder / "original", folder / "backend")
        return local_backend(folder / "backend")

    return restored
