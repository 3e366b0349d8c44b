"""Whatever is killed, in whatever step: the system completes by itself, the table is right, and nobody is told twice.

The catch-up sensor of a live source finds an empty backend and asks for the latest sessions; nothing is launched by hand.
One bar is bad, so that publishing commits to both tables, and a kill can fall between the two commits.
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
from stock_assets_tests.support.gates import FAILED, GATES, TOLD
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.real_daemon import DAEMON, Station, live_environment, station, wait_for
from stock_assets_tests.support.scenes import content
from stock_assets_tests.support.steps import load_range, local_backend

pytestmark = pytest.mark.daemon

FIVE = symbols(5)
SESSIONS = 5
CONSUMER_SECONDS = 5
"""How often Dagster's daemon looks for failed runs."""
LATE = "stock_assets: published.daily_prices is late"


@dataclass(frozen=True)
class Pipeline:
    """A live source, and a backend that is empty still."""

    station: Station
    server: VendorServer

    def spoil_newest_bar(self, *names: str) -> None:
        """Make a volume negative."""
        for name in names:
            header, newest, rest = csv_body(name, self.server.last_session, "compact").split(b"\r\n", 2)
            bad = b",".join([*newest.split(b",")[:-1], b"-1"])
            self.server.respond(name, b"\r\n".join([header, bad, rest]))

    def wait_for_success(self) -> list[dg.DagsterRun]:
        """Wait until the newest run has succeeded; give all of them."""

        def ended() -> list[dg.DagsterRun] | None:
            runs = self.station.runs()
            return runs if runs[-1].is_success else None

        return wait_for(ended, "success")

    def expect_the_ideal_table(self, sessions: list[date]) -> None:
        """Compare both tables with those of a backend that nothing disturbed."""
        ideal = local_backend(self.station.folder / "ideal")
        load_range(ideal, live_source(self.server), FIVE, sessions[0], sessions[-1])
        prices, quarantine = content(ideal)
        assert (len(prices), len(quarantine)) == (SESSIONS * len(FIVE.symbols) - 1, 1)
        assert content(self.station.backend) == (prices, quarantine)


@pytest.fixture
def pipeline(server: VendorServer, tmp_path: Path) -> Iterator[Pipeline]:
    # The newest session that catch-up looks after by now; before that, the newest closed one is the schedule's.
    [server.last_session] = CatchUpWindow(date(2026, 1, 2), None, 1).sessions(datetime.now(UTC))
    environment = live_environment(tmp_path, server, FIVE, CATCH_UP_SESSIONS=str(SESSIONS))
    with station(tmp_path, environment, "stock_assets_tests.support.gated_definitions") as made:
        for gate in GATES:
            made.close_gate(gate)
        # One run is killed in every step here, oftener than the product would repeat it.
        configuration = made.settings.instance_dir / "dagster.yaml"
        text = configuration.read_text(encoding="utf-8")
        assert "max_retries: 2" in text
        configuration.write_text(text.replace("max_retries: 2", f"max_retries: {len(GATES)}"), encoding="utf-8")
        yield Pipeline(made, server)


def test_a_worker_killed_in_every_step(pipeline: Pipeline) -> None:
    pipeline.spoil_newest_bar("S02")
    pipeline.station.start_daemon()
    for gate in GATES:
        os.kill(pipeline.station.held_at(gate), signal.SIGKILL)
        pipeline.station.open_gate(gate)
    expect_one_run_repeated(pipeline, pipeline.wait_for_success())


def test_the_machine_switched_off_in_every_step(pipeline: Pipeline) -> None:
    pipeline.spoil_newest_bar("S02")
    pipeline.station.start_daemon()
    for gate in GATES:
        pipeline.station.held_at(gate)
        pipeline.station.kill_all()
        pipeline.station.open_gate(gate)
        pipeline.station.start_daemon()
    expect_one_run_repeated(pipeline, pipeline.wait_for_success())


def expect_one_run_repeated(pipeline: Pipeline, runs: list[dg.DagsterRun]) -> None:
    """Every run but the last was killed, and is the parent of the next; nobody was asked twice, or told of it."""
    assert [run.status for run in runs] == [*[dg.DagsterRunStatus.FAILURE] * len(GATES), dg.DagsterRunStatus.SUCCESS]
    assert [run.parent_run_id for run in runs] == [None, *[run.run_id for run in runs[:-1]]]
    sessions = tagged_sessions(runs[0].tags)
    assert len(sessions) == SESSIONS
    pipeline.expect_the_ideal_table(sessions)
    # The table is empty at first, which is told once; that a run was killed and repeated is not.
    assert pipeline.station.alerts == [LATE]


def test_a_daemon_killed_in_every_step(pipeline: Pipeline) -> None:
    """The run goes on without it, and the next daemon leaves it alone."""
    pipeline.spoil_newest_bar("S02")
    daemon = pipeline.station.start_daemon()
    for looks, gate in enumerate(GATES, start=1):
        worker = pipeline.station.held_at(gate)
        daemon.kill()
        daemon.wait()
        before = pipeline.station.log(DAEMON).count("Checking run ")
        daemon = pipeline.station.start_daemon()
        wait_for(lambda n=before: pipeline.station.log(DAEMON).count("Checking run ") > n, f"look {looks}")  # type: ignore[misc]
        os.kill(worker, 0)
        pipeline.station.open_gate(gate)
    [run] = pipeline.wait_for_success()
    pipeline.expect_the_ideal_table(tagged_sessions(run.tags))
    assert pipeline.station.alerts == [LATE]


def test_a_killed_run_whose_failure_is_seen_before_its_status_is_repeated(pipeline: Pipeline) -> None:
    """Dagster's daemon looks at each failure once, and Dagster stores the event a little before the run's status."""
    made = pipeline.station
    for gate in GATES[1:]:
        made.open_gate(gate)
    made.close_gate(FAILED)
    made.start_daemon()
    os.kill(made.held_at(GATES[0]), signal.SIGKILL)
    made.open_gate(GATES[0])
    made.held_at(FAILED)
    # Nothing is to be seen of a look that finds nothing.
    time.sleep(2 * CONSUMER_SECONDS + 1)
    made.open_gate(FAILED)
    killed, repeated = pipeline.wait_for_success()
    assert repeated.parent_run_id == killed.run_id


def test_a_kill_between_a_message_and_its_note_tells_nobody_twice(pipeline: Pipeline) -> None:
    """Two bad bars of five keep the session from being published; that is told once, however often it is looked at."""
    made = pipeline.station
    pipeline.spoil_newest_bar("S02", "S03")
    for gate in GATES:
        made.open_gate(gate)
    made.close_gate(TOLD)
    made.start_daemon()
    made.held_at(TOLD)
    refused = [title for title in made.alerts if title != LATE]
    assert len(refused) == 1
    assert "audits refused the load" in refused[0]
    made.kill_all()
    made.open_gate(TOLD)

    made.start_daemon()
    wait_for(
        lambda: [key for key in made.backend.objects.list("alerts/open/") if "/run-" in key and "/opened-" in key],
        "note of the message",
    )

    assert [title for title in made.alerts if title != LATE] == refused
    assert made.alerts.count(LATE) == 1
