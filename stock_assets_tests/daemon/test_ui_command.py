"""`make run`, then `make dev`: the command of the UI shows the run of the command line, and prints no warning."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stock_assets.orchestration.instance.code_location import CODE_LOCATION
from stock_assets_tests.support.browser import Browser, browser
from stock_assets_tests.support.ports import free_port
from stock_assets_tests.support.real_daemon import PROJECT, Station, kill_with_children, station, wait_for

PROGRAM = "stock_assets"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Station]:
    with station(tmp_path, {}) as started:
        yield started


def serves(url: str) -> bool:
    """Return whether a web server responds."""
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=60) as response:  # noqa: S310 (fixed scheme)
            return bool(response.status == 200)
    except OSError:
        return False


def reads(page: Browser, url: str, words: str) -> None:
    """Open a page and wait until it contains some words."""
    page.visit(url)
    page.wait_for(f"document.body.innerText.includes('{words}')")


@pytest.mark.browser
def test_a_run_of_the_command_line_is_in_the_timeline_and_on_the_page_of_its_job(made: Station) -> None:
    with browser(1500, 1000, online=True) as page:
        assert made.start(PROGRAM, "backfill", "2013-02-27", "2013-03-01").wait(timeout=300) == 0, made.log(PROGRAM)
        [run] = made.runs()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        made.start(PROGRAM, "ui", "--port", str(port))
        wait_for(lambda: serves(url), "web server")

        reads(page, f"{url}/locations/{CODE_LOCATION}/jobs/daily_prices/runs", run.run_id[:8])
        reads(page, f"{url}/overview/activity/timeline", "daily_prices")
        wait_for(lambda: f"Serving dagster-webserver on {url}" in made.log(PROGRAM), "line with the address")
        assert warnings(made.log(PROGRAM)) == []

        assert made.start(PROGRAM, "ui", "--port", str(free_port())).wait(timeout=300) == 1
        assert "of stock-assets ui already runs on" in made.log(PROGRAM)
        assert serves(url)


@pytest.mark.daemon
def test_dg_dev_starts_the_project_and_states_that_its_instance_is_another_one(tmp_path: Path) -> None:
    """Without `DAGSTER_HOME`, `dg dev` and `dagster dev` start with an empty history, and must not hide that."""
    port, log = free_port(), tmp_path / "dg.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "VIRTUAL_ENV": sys.prefix}
    environment["STOCK_ASSETS_DATA_DIR"] = str(tmp_path / "data")
    command = [str(Path(sys.executable).parent / "dg"), "dev", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_for(lambda: serves(f"http://127.0.0.1:{port}"), "web server")
        text = log.read_text(encoding="utf-8")
        assert "Using temporary directory" in text
        assert "set the environment variable DAGSTER_HOME" in text
        assert warnings(text) == []
    finally:
        # It removes its temporary directory.
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        kill_with_children(process)


def warnings(log: str) -> list[str]:
    """Return the lines with a warning of Python, such as one about a deprecated command."""
    return [line for line in log.splitlines() if re.search("[a-z]Warning|[Ss]uperseded|[Dd]eprecated", line)]
