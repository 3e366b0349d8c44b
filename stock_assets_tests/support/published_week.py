"""Data folders with published rows: loaded once, and restored for each test, which takes a tenth of the time.

Belongs here: the fixtures. Does not belong here: what the tests change in the folder (`scenes`).
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

Restored = Callable[[str, Callable[[Backend], object]], Backend]
"""Return a local backend in the folder of a name, as a function has filled it at the first call."""
PublishedWeek = Callable[[Sequence[date]], Backend]
"""Return a local backend with the first week published, whose responses have the bars of some sessions."""


@pytest.fixture(scope="session")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """Return the function; its folders are at the same place in each test, because tables contain their own paths."""
    folders: dict[str, Path] = {}

    def restore(name: str, fill: Callable[[Backend], object]) -> Backend:
        folder = folders.get(name)
        if folder is None:
            folder = tmp_path_factory.mktemp("restored")
            fill(local_backend(folder / "backend"))
            shutil.copytree(folder / "backend", folder / "original")
            folders[name] = folder
        shutil.rmtree(folder / "backend")
        shutil.copytree(folder / "original", folder / "backend")
        return local_backend(folder / "backend")

    return restore


@pytest.fixture(scope="session")
def published_week(restored: Restored) -> PublishedWeek:
    """Return the function that restores the first week."""

    def week(sessions: Sequence[date]) -> Backend:
        def publish(backend: Backend) -> None:
            scene = Scene(backend, calm_source(sessions=sessions))
            # As early as possible, so that a test can request later sessions when they close.
            at = closing_time(max(sessions)) + timedelta(hours=1)
            fetch_prices(scene, FIRST_WEEK, now=lambda: at)
            scene.stage(FIRST_WEEK)
            scene.publish(FIRST_WEEK)

        return restored(f"calm first week, responses until {max(sessions)}", publish)

    return week
