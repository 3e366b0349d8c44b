"""Reports of the recorded sample, and of a small table with a missing session, a quarantined bar and a split."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.universe import Listing, Universe
from stock_assets.pipeline import Pipeline
from stock_assets.serve.report.data import ReportData, read_report
from stock_assets.serve.report.page import render_page
from stock_assets.settings import Settings
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.report_scene import BAD, EX_DATE, MISSING, RENDERED_AT, SCRIPT, SESSIONS
from stock_assets_tests.support.scenes import BAD_BAR, Scene
from stock_assets_tests.support.steps import LIMITS, load_range, local_backend, parts


@pytest.fixture(scope="session")
def recorded_data(recorded_backend: Backend) -> ReportData:
    universe = Pipeline.from_settings(Settings()).universe
    return read_report(parts(recorded_backend, RecordedSource(), universe))


@pytest.fixture(scope="session")
def recorded_page(recorded_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "recorded.html"
    file.write_text(render_page(recorded_data, RENDERED_AT), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def five_sessions_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("five_sessions")
    backend, source = local_backend(folder / "backend"), RecordedSource()
    universe = Pipeline.from_settings(Settings()).universe
    load_range(backend, source, universe, date(2013, 2, 25), date(2013, 3, 1))
    file = folder / "five.html"
    file.write_text(render_page(read_report(parts(backend, source, universe)), RENDERED_AT), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def gappy_data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """Data of four symbols: HOLE has a missing session, a bad bar and a 3:1 split. Company names contain a script."""
    source = ScriptedSource()
    for symbol in ("GOOD", "FULL", "HOLE", "MORE"):
        source.set_bars(symbol, walk(symbol, SESSIONS))
    source.drop_bar("HOLE", MISSING)
    source.set_bar("HOLE", BAD, BAD_BAR)
    source.set_splits("HOLE", {EX_DATE: "3.0000"})
    universe = Universe(tuple(Listing(symbol, SCRIPT) for symbol in ("GOOD", "FULL", "HOLE", "MORE")))
    backend = local_backend(tmp_path_factory.mktemp("gappy_report"))
    Scene(backend, source, universe, replace(LIMITS, max_quarantined_share=1.0)).run(SESSIONS)
    return read_report(parts(backend, source, universe))


@pytest.fixture(scope="session")
def gappy_page(gappy_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "gappy.html"
    file.write_text(render_page(gappy_data, RENDERED_AT), encoding="utf-8")
    return file
