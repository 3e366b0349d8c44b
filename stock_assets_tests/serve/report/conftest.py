"""A report of the recording, and one of a table with a hole, a bad bar and a split."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.universe import Listing, Universe
from stock_assets.pipeline import Pipeline
from stock_assets.serve.report.data import ReportData, gather
from stock_assets.serve.report.page import draw
from stock_assets.settings import Settings
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.scenes import BAD_BAR, Scene
from stock_assets_tests.support.steps import LIMITS, local_backend, parts

DRAWN_AT = datetime(2013, 3, 2, 1, 2, tzinfo=UTC)
SESSIONS = sessions_between(date(2012, 1, 3), date(2012, 6, 29))
MISSING, BAD, EX_DATE = date(2012, 5, 9), date(2012, 5, 16), date(2012, 6, 5)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="session")
def recorded_data(recorded_backend: Backend) -> ReportData:
    return gather(parts(recorded_backend, universe=Pipeline.from_settings(Settings()).universe))


@pytest.fixture(scope="session")
def recorded_page(recorded_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "recorded.html"
    file.write_text(draw(recorded_data, DRAWN_AT), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def gappy_data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """HOLE lacks a session, has a bad bar on another and splits 3:1; its company's name is hostile."""
    source = ScriptedSource()
    for symbol in ("GOOD", "FULL", "HOLE", "MORE"):
        source.set_bars(symbol, walk(symbol, SESSIONS))
    source.drop_bar("HOLE", MISSING)
    source.set_bar("HOLE", BAD, BAD_BAR)
    source.set_splits("HOLE", {EX_DATE: "3.0000"})
    universe = Universe(tuple(Listing(symbol, SCRIPT) for symbol in ("GOOD", "FULL", "HOLE", "MORE")))
    backend = local_backend(tmp_path_factory.mktemp("gappy_report"))
    Scene(backend, source, universe, replace(LIMITS, max_quarantined_share=1.0)).run(SESSIONS)
    return gather(parts(backend, universe=universe))


@pytest.fixture(scope="session")
def gappy_page(gappy_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "gappy.html"
    file.write_text(draw(gappy_data, DRAWN_AT), encoding="utf-8")
    return file
