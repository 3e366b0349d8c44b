"""Scenes and a copy of the SQL folder for the tests of audits."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import stock_assets.core.sql
from stock_assets.backends.interface import Backend
from stock_assets_tests.support.added_audits import SQL_FOLDER, forget_statements
from stock_assets_tests.support.published_week import PublishedWeek
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, Scene, calm_source


@pytest.fixture
def empty(backend: Backend) -> Scene:
    """Nothing is published; the source has the second week."""
    return Scene(backend, calm_source(sessions=SECOND_WEEK))


@pytest.fixture
def scene(published_week: PublishedWeek) -> Scene:
    """The first week is published; the source has the second week too."""
    return Scene(published_week(FIRST_WEEK), calm_source())


@pytest.fixture
def sql_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the folder of SQL statements, in use until the test ends."""
    copy = tmp_path / "sql"
    shutil.copytree(SQL_FOLDER, copy)
    original = stock_assets.core.sql.bundled
    monkeypatch.setattr(stock_assets.core.sql, "bundled", lambda name: copy if name == "sql" else original(name))
    forget_statements()
    yield copy
    monkeypatch.undo()
    forget_statements()
