"""The pages of the UI after maintenance has removed the logs of runs; a web server is up all the time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from stock_assets.orchestration.instance.log_removal import NOTICE
from stock_assets.orchestration.jobs.maintenance import LOGS_REMOVED, remove_old_logs
from stock_assets.orchestration.runs import run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets_tests.fakes.http_server import WebServer
from stock_assets_tests.support.real_daemon import station

pytestmark = pytest.mark.daemon

DAYS = [date(2012, 5, 24), date(2012, 5, 25)]
ASSETS = """
{ assetNodes {
    assetKey { path }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } }
    assetMaterializations(limit: 5) { partition runId stepKey metadataEntries { label description } }
    latestRunForPartition(partition: "2012-05-24") { runId status }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
        runId status evaluation { success severity description metadataEntries { label } } } } } }
} }
"""
LATEST = (
    "query($keys: [AssetKeyInput!]!) { assetsLatestInfo(assetKeys: $keys) { assetKey { path } latestRun { status } \
latestMaterialization { partition runId timestamp } unstartedRunIds inProgressRunIds } }"
)
RUN = """
query($id: ID!) { runOrError(runId: $id) { ... on Run {
    status startTime endTime tags { key } assetMaterializations { partition }
    stats { ... on RunStatsSnapshot { startTime endTime } }
    eventConnection { events { __typename ... on MessageEvent { message } } }
} } }
"""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """The recorded sample with a run per session, and the web server."""
    with station(tmp_path_factory.mktemp("station"), {}) as made:
        for day in DAYS:
            settings = made.settings
            assert run_sessions(settings, Pipeline.from_settings(settings), day, day, on_event=lambda _: None).success
        yield WebServer(made)


def test_assets_partitions_and_checks_look_the_same_and_a_run_page_shows_the_notice(web: WebServer) -> None:
    nodes = web.request(ASSETS)["assetNodes"]
    keys = [{"path": node["assetKey"]["path"]} for node in nodes if node["assetKey"]["path"][0] != "grafana"]
    latest = web.request(LATEST, keys=keys)
    first, second = (run.run_id for run in web.station.runs())
    assert len(events(web, first)) > 100
    prices = next(node for node in nodes if node["assetKey"]["path"] == ["published", "daily_prices"])
    assert [found["partition"] for found in prices["assetMaterializations"]] == ["2012-05-25", "2012-05-24"]
    [ranges] = prices["assetPartitionStatuses"].values()
    assert [(found["startKey"], found["endKey"], found["status"]) for found in ranges] == [
        (str(DAYS[0]), str(DAYS[1]), "MATERIALIZED")
    ]
    checks = [check for node in nodes for check in node["assetChecksOrError"].get("checks", [])]
    assert len([check for check in checks if check["executionForLatestMaterialization"]]) > 20

    with web.station.instance() as instance:
        assert remove_old_logs(instance, before=datetime.now(UTC) + timedelta(hours=1)) == 2

    after = web.request(ASSETS)["assetNodes"]
    for now, before in zip(after, nodes, strict=True):
        assert without_history(now) == without_history(before)
    assert web.request(LATEST, keys=keys) == latest
    for run_id in (first, second):
        shown = web.request(RUN, id=run_id)["runOrError"]
        assert shown["status"] == "SUCCESS"
        assert LOGS_REMOVED in {tag["key"] for tag in shown["tags"]}
        assert None not in (shown["startTime"], shown["endTime"], *shown["stats"].values())
        assert NOTICE in [event["message"] for event in events(web, run_id)]
    assert len(events(web, first)) < 20


def without_history(node: dict[str, Any]) -> dict[str, Any]:
    """Return an asset with the newest materialization of each partition only."""
    newest = {found["partition"]: found for found in reversed(node["assetMaterializations"])}
    return {**node, "assetMaterializations": newest}


def events(web: WebServer, run_id: str) -> list[dict[str, Any]]:
    """Return the events that the page of a run shows."""
    found: list[dict[str, Any]] = web.request(RUN, id=run_id)["runOrError"]["eventConnection"]["events"]
    return found
