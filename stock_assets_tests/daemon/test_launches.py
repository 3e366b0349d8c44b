"""Large backfills through the web server and the daemon are few runs, and all of them succeed."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.instance.code_location import CODE_LOCATION
from stock_assets.pipeline import Pipeline
from stock_assets.serve.query import summary
from stock_assets.sources.recorded import RecordedSource
from stock_assets_tests.fakes.http_server import WebServer
from stock_assets_tests.support.real_daemon import Station, station, wait_for

pytestmark = pytest.mark.daemon

LOCATION = {"repositoryLocationName": CODE_LOCATION, "repositoryName": "__repository__"}
PATH = (("raw", "daily_prices"), ("staged", "daily_prices"), ("published", "daily_prices"))
PARTITIONED = (*PATH, ("published", "quarantined_prices"))
BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""
START_SENSOR = """
mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """The recorded sample, with web server and daemon."""
    with station(tmp_path_factory.mktemp("station"), {}) as made:
        server = WebServer(made)
        made.start_daemon()
        yield server


def backfill(web: WebServer, sessions: Sequence[date]) -> str:
    """Launch a backfill of every partitioned asset, as the dialog of the asset graph does."""
    params = {
        "assetSelection": [{"path": list(path)} for path in PARTITIONED],
        "partitionNames": [session.isoformat() for session in sessions],
    }
    launched = web.request(BACKFILL, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    return str(launched["backfillId"])


def finished(made: Station, tag: str, value: str | None = None) -> list[dg.DagsterRun]:
    """Wait until runs with a tag exist and all have ended; return them."""

    def ended() -> list[dg.DagsterRun] | None:
        runs = [run for run in made.runs() if tag in run.tags and value in {None, run.tags[tag]}]
        return runs if runs and all(run.is_finished for run in runs) else None

    return wait_for(ended, f"end of runs with {tag}", seconds=300)


def rows(made: Station) -> dict[str, int]:
    """Return the number of published rows by symbol."""
    return {row.symbol: row.row_count for row in summary(Pipeline.from_settings(made.settings).backend)}


def test_a_backfill_of_1250_sessions_is_one_run_and_so_is_each_range_of_the_missing_ones(web: WebServer) -> None:
    sessions = sessions_between(date(2004, 8, 19), date(2012, 5, 17))[:1250]
    assert len(sessions) == 1250

    [run] = finished(web.station, "dagster/backfill", backfill(web, sessions))

    assert run.is_success
    assert run.tags["dagster/asset_partition_range_start"] == sessions[0].isoformat()
    assert run.tags["dagster/asset_partition_range_end"] == sessions[-1].isoformat()
    assert rows(web.station) == dict.fromkeys(("AAPL", "GOOG", "IBM", "MSFT"), 1250)

    # The dialog sends these sessions for "failed and missing only" of a range around the loaded one.
    before = sessions_between(date(2004, 8, 2), date(2004, 8, 18))
    after = sessions_between(sessions[-1], date(2012, 5, 17))[1:6]
    runs = finished(web.station, "dagster/backfill", backfill(web, [*before, *after]))
    assert sorted(run.tags["dagster/asset_partition_range_start"] for run in runs) == [
        before[0].isoformat(),
        after[0].isoformat(),
    ]
    assert all(run.is_success for run in runs)
    assert rows(web.station)["IBM"] == 1250 + len(before) + len(after)


def test_252_landing_files_are_one_run(web: WebServer) -> None:
    sessions = sessions_between(date(2001, 1, 2), date(2002, 1, 15))[:252]
    before = rows(web.station)
    deliver(web.station.settings.root / "raw" / "daily_prices" / "firehose", sessions, web.station.folder)
    web.request(START_SENSOR, sensor={**LOCATION, "sensorName": "landing_files"})

    [run] = finished(web.station, "stock_assets/landing_files")

    assert run.is_success
    after = rows(web.station)
    assert {symbol: after[symbol] - before.get(symbol, 0) for symbol in ("AAPL", "IBM", "MSFT")} == dict.fromkeys(
        ("AAPL", "IBM", "MSFT"), 252
    )


def deliver(folder: Path, sessions: Sequence[date], scratch: Path) -> None:
    """Copy a landing file per session, each with the bars of three symbols."""
    recording = RecordedSource()
    bars = {
        symbol: dict(
            line.split(",", 1) for line in recording.fetch_prices(symbol, sessions).decode().splitlines() if line
        )
        for symbol in ("AAPL", "IBM", "MSFT")
    }
    folder.mkdir(parents=True, exist_ok=True)
    for session in sessions:
        lines = [f"{session},{symbol},{found[session.isoformat()]}\n" for symbol, found in bars.items()]
        file = scratch / f"{session}.csv"
        file.write_text("date,symbol,open,high,low,close,volume\n" + "".join(lines), encoding="utf-8")
        shutil.copyfile(file, folder / file.name)
