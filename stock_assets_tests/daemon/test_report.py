"""The daemon draws the report after a load of the command line, in a run of its own, and once per change."""

from datetime import date
from pathlib import Path

import pytest

from stock_assets.orchestration.runs import run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets_tests.support.real_daemon import Station, station, wait_for

pytestmark = pytest.mark.daemon


def load(made: Station, day: date) -> None:
    settings = made.settings
    assert run_sessions(settings, Pipeline.from_settings(settings), day, day, on_event=lambda _: None).success


def ended_reports(made: Station, count: int) -> bool:
    runs = made.report_runs()
    return len(runs) == count and all(run.is_finished for run in runs)


def test_the_report_is_drawn_once_per_change(tmp_path: Path) -> None:
    with station(tmp_path, {}) as made:
        load(made, date(2013, 2, 28))
        assert made.backend.objects.keys("reports/prices/") == []
        made.start_daemon()
        wait_for(lambda: ended_reports(made, 1), "run of the report")
        load(made, date(2013, 2, 28))
        load(made, date(2013, 3, 1))
        wait_for(lambda: ended_reports(made, 2), "second run of the report")
        assert all(run.is_success for run in made.report_runs())
        _, newest = made.backend.objects.keys("reports/prices/")
        assert b"2013-03-01" in made.backend.objects.get(newest)
        assert len(made.runs()) == 3
