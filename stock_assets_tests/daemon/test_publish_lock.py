"""A command and a run of the daemon publish one after the other, in whichever order they come."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.catch_up import CatchUpWindow
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets_tests.fakes.vendor_server import VendorServer
from stock_assets_tests.support.gates import STARTED_VARIABLE
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.real_daemon import live_environment, station, wait_for
from stock_assets_tests.support.scenes import content
from stock_assets_tests.support.steps import load_range, local_backend

pytestmark = pytest.mark.daemon
FIVE = symbols(5)
SESSIONS = 3


def test_a_command_waits_while_a_run_of_the_daemon_publishes(server: VendorServer, tmp_path: Path) -> None:
    started = datetime.now(UTC)
    [server.last_session] = CatchUpWindow(date(2026, 1, 2), None, 1).sessions(started)
    environment = live_environment(tmp_path, server, FIVE, CATCH_UP_SESSIONS=str(SESSIONS))
    environment[STARTED_VARIABLE] = started.isoformat()
    with station(tmp_path, environment, "stock_assets_tests.support.gated_definitions") as made:
        made.close_gate("publish")
        made.start_daemon()
        holder = made.held_at("publish")
        [run] = made.runs()
        sessions = tagged_sessions(run.tags)

        command = made.start("stock_assets", "backfill", str(sessions[-1]), str(sessions[-1]))
        waits = f"Process {holder} publishes into {made.settings.root}; this publish waits until it ends."
        wait_for(lambda: waits in made.log("stock_assets"), "waiting command")
        assert made.backend.warehouse.history(DAILY_PRICES) == []
        assert command.poll() is None

        made.open_gate("publish")
        assert command.wait(120) == 0, made.log("stock_assets")
        wait_for(lambda: made.runs()[0].is_success, "success of the run of the daemon")

        ideal = local_backend(tmp_path / "ideal")
        load_range(ideal, live_source(server), FIVE, sessions[0], sessions[-1])
        assert content(made.backend) == content(ideal)
