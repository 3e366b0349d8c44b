"""Any process can be killed in any step: the table is completed automatically and correct, and no alert is sent twice.

The catch-up sensor of a live source finds an empty backend and requests the latest sessions; no run is launched
by hand. One bar is bad, so that publishing commits to both tables, and a process can be killed between the two commits.
"""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.coverage.catch_up import CatchUpWindow
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets_tests.fakes.vendor_server import VendorServer, csv_body
from stock_assets_tests.support.gates import FAILED, GATES, NOTIFIED, STARTED_VARIABLE
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.real_daemon import DAEMON, Station, live_environment, station, wait_for
from stock_assets_tests.support.scenes import content
from stock_assets_tests.support.steps import load_range, local_backend

pytestmark = pytest.mark.daemon

FIVE = symbols(5)
SESSIONS = 5
CONSUMER_SECONDS = 5
"""How often Dagster's daemon reads failed runs."""


@dataclass(frozen=True)
class Pipeline:
    """A live source, and an empty backend."""

    station: Station
    server: VendorServer

    def spoil_newest_bar(self, *names: str) -> None:
        """Make the newest volume of some symbols negative."""
        for name in names:
            header, newest, rest = csv_body(name, self.server.last_session, "compact").split(b"\r\n", 2)
            bad = b",".join([*newest.split(b",")[:-1], b"-1"])
            self.server.respond(name, b"\r\n".join([header, bad, rest]))

    def wait_for_success(self) -> list[dg.DagsterRun]:
        """Wait until the newest run has succeeded; return all runs."""

        def ended() -> list[dg.DagsterRun] | None:
            runs = self.station.runs()
            return runs if runs[-1].is_success else None

        return wait_for(ended, "success")

    def expect_the_ideal_table(self, sessions: list[date]) -> None:
        """Compare both tables with those of a backend whose processes were not killed."""
        ideal = local_backend(self.station.folder / "ideal")
        load_range(ideal, live_source(self.server), FIVE, sessions[0], sessions[-1])
        prices, quarantine = content(ideal)
        assert (len(prices), len(quarantine)) == (SESSIONS * len(FIVE.symbols) - 1, 1)
        assert content(self.station.backend) == (prices, quarantine)


@pytest.fixture
def pipeline(server: VendorServer, tmp_path: Path) -> Iterator[Pipeline]:
    # The newest session that catch-up loads now; a newer closed session belongs to the schedule.
    started = datetime.now(UTC)
    [server.last_session] = CatchUpWindow(date(2026, 1, 2), None, 1).sessions(started)
    environment = live_environment(tmp_path, server, FIVE, CATCH_UP_SESSIONS=str(SESSIONS))
    environment[STARTED_VARIABLE] = started.isoformat()
    with station(tmp_path, environment, "stock_assets_tests.support.gated_definitions") as made:
        for gate in GATES:
            made.close_gate(gate)
        # A run is killed in every step here, more often than the product retries it.
        configuration = made.settings.instance_dir / "dagster.yaml"
        text = configuration.read_text(encoding="utf-8")
        assert "max_retries: 2" in text
        configuration.write_text(text.replace("max_retries: 2", f"max_retries: {len(GATES)}"), encoding="utf-8")
        yield Pipeline(made, server)


def test_a_worker_killed_in_every_step_is_retried(pipeline: Pipeline) -> None:
    pipeline.spoil_newest_bar("S02")
    pipeline.station.start_daemon()
    for gate in GATES:
        os.kill(pipeline.station.held_at(gate), signal.SIGKILL)
        pipeline.station.open_gate(gate)
    expect_one_run_retried(pipeline, pipeline.wait_for_success())


def test_the_run_is_retried_after_the_machine_was_switched_off_in_every_step(pipeline: Pipeline) -> None:
    pipeline.spoil_newest_bar("S02")
    pipeline.station.start_daemon()
    for gate in GATES:
        pipeline.station.held_at(gate)
        pipeline.station.kill_all()
        pipeline.station.open_gate(gate)
        pipeline.station.start_daemon()
    expect_one_run_retried(pipeline, pipeline.wait_for_success())


def expect_one_run_retried(pipeline: Pipeline, runs: list[dg.DagsterRun]) -> None:
    """Every run but the last was killed and is the parent of the next; no alert was sent about it."""
    assert [run.status for run in runs] == [*[dg.DagsterRunStatus.FAILURE] * len(GATES), dg.DagsterRunStatus.SUCCESS]
    assert [run.parent_run_id for run in runs] == [None, *[run.run_id for run in runs[:-1]]]
    sessions = tagged_sessions(runs[0].tags)
    assert len(sessions) == SESSIONS
    pipeline.expect_the_ideal_table(sessions)
    # A table that was never published is not late, and killed runs that are retried send no alert.
    assert pipeline.station.alerts == []


def test_a_run_continues_after_the_daemon_was_killed_in_every_step(pipeline: Pipeline) -> None:
    """The run continues without the daemon, and the next daemon does not touch it."""
    pipeline.spoil_newest_bar("S02")
    daemon = pipeline.station.start_daemon()
    for checks, gate in enumerate(GATES, start=1):
        worker = pipeline.station.held_at(gate)
        daemon.kill()
        daemon.wait()
        before = pipeline.station.log(DAEMON).count("Checking run ")
        daemon = pipeline.station.start_daemon()
        wait_for(lambda n=before: pipeline.station.log(DAEMON).count("Checking run ") > n, f"check {checks}")  # type: ignore[misc]
        os.kill(worker, 0)
        pipeline.station.open_gate(gate)
    [run] = pipeline.wait_for_success()
    pipeline.expect_the_ideal_table(tagged_sessions(run.tags))
    assert pipeline.station.alerts == []


def test_a_killed_run_is_retried_if_the_daemon_reads_its_failure_before_its_status(pipeline: Pipeline) -> None:
    """Dagster's daemon reads each failure once, and Dagster stores the event a little before the run's status."""
    made = pipeline.station
    for gate in GATES[1:]:
        made.open_gate(gate)
    made.close_gate(FAILED)
    made.start_daemon()
    os.kill(made.held_at(GATES[0]), signal.SIGKILL)
    made.open_gate(GATES[0])
    made.held_at(FAILED)
    # A poll that finds no failure leaves no trace, so wait for two.
    time.sleep(2 * CONSUMER_SECONDS + 1)
    made.open_gate(FAILED)
    killed, retried = pipeline.wait_for_success()
    assert retried.parent_run_id == killed.run_id


def test_a_kill_between_a_message_and_its_record_sends_no_second_message(pipeline: Pipeline) -> None:
    """Two bad bars of five exclude their session; one alert is sent, also if the run is checked again."""
    made = pipeline.station
    pipeline.spoil_newest_bar("S02", "S03")
    for gate in GATES:
        made.open_gate(gate)
    made.close_gate(NOTIFIED)
    made.start_daemon()
    made.held_at(NOTIFIED)
    rejected = made.alerts
    assert len(rejected) == 1
    assert f"audits excluded {pipeline.server.last_session}" in rejected[0]
    made.kill_all()
    made.open_gate(NOTIFIED)

    made.start_daemon()
    wait_for(
        lambda: [key for key in made.backend.objects.keys("alerts/open/") if "/run-" in key and "/opened-" in key],
        "record of the message",
    )

    assert made.alerts == rejected
