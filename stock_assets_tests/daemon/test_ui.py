"""The UI in a real Chromium: one session, ten sessions, and a failed check with its rows.

Elements are found by their text, so that only a change of the text can break the tests.
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.orchestration.instance.code_location import CODE_LOCATION
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.pipeline import Pipeline
from stock_assets_tests.fakes.http_server import WebServer
from stock_assets_tests.support.browser import Browser, browser
from stock_assets_tests.support.real_daemon import Station, station, wait_for
from stock_assets_tests.support.steps import published_rows

pytestmark = pytest.mark.browser

FALL = date(2000, 9, 29)
"""AAPL lost half of its price without a split."""
TEN = sessions_between(date(2000, 9, 25), date(2000, 10, 6))
ELEVEN = sessions_between(date(2000, 9, 25), date(2000, 10, 9))
RANGE_FIELD = ".dagster-dialog input[placeholder^='ex:']"
BUTTONS = "[...document.querySelectorAll('button')].filter((button) => !button.disabled)"
JOB_PAGE = f"/locations/{CODE_LOCATION}/jobs/daily_prices/partitions"


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with browser(1500, 1000, online=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def web(page: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """The recorded sample, with web server and daemon; started only where there is a browser."""
    with station(tmp_path_factory.mktemp("station"), {}) as made:
        server = WebServer(made)
        made.start_daemon()
        yield server


def click(page: Browser, words: str) -> None:
    """Click the button whose text starts with some words."""
    page.wait_for(f"{BUTTONS}.some((button) => button.innerText.startsWith('{words}'))")
    page.run(f"{BUTTONS}.find((button) => button.innerText.startsWith('{words}')).click()")


def reads(page: Browser, words: str) -> None:
    """Wait until the page contains some words."""
    page.wait_for(f"document.body.innerText.includes('{words}')")


def select_sessions(page: Browser, sessions: str, counted: str) -> None:
    """Open the dialog, type sessions, and wait for the number that it shows."""
    click(page, "Materialize")
    page.wait_for(f'document.querySelectorAll("{RANGE_FIELD}").length > 0')
    page.type(RANGE_FIELD, sessions)
    reads(page, counted)


def new_run(made: Station, before: int) -> dg.DagsterRun:
    """Wait until there is one more run than before, and it has ended."""

    def ended() -> dg.DagsterRun | None:
        runs = made.runs()
        return runs[-1] if len(runs) > before and all(run.is_finished for run in runs) else None

    run = wait_for(ended, "run that has ended")
    assert len(made.runs()) == before + 1
    return run


def test_one_session_from_the_page_of_an_asset(web: WebServer, page: Browser) -> None:
    before = len(web.station.runs())
    page.visit(f"{web.url}/assets/raw/daily_prices?view=partitions")
    select_sessions(page, FALL.isoformat(), "1 partition")
    click(page, "Launch 1 run")
    run = new_run(web.station, before)
    assert run.is_success
    assert tagged_sessions(run.tags) == [FALL]
    assert {key.to_user_string() for key in run.asset_selection or ()} == {"raw/daily_prices"}
    reads(page, "Materialized (1)")


def test_ten_sessions_from_the_page_of_the_job_are_one_run_of_the_whole_path(web: WebServer, page: Browser) -> None:
    before = len(web.station.runs())
    page.visit(web.url + JOB_PAGE)
    select_sessions(page, f"[{TEN[0]}...{TEN[-1]}]", "10 partitions")
    click(page, "Launch backfill")
    run = new_run(web.station, before)
    assert run.is_success
    assert (run.job_name, tagged_sessions(run.tags)) == ("daily_prices", TEN)
    rows = published_rows(Pipeline.from_settings(web.station.settings).backend, DAILY_PRICES)
    assert {row["trade_date"] for row in rows} == set(TEN)


def test_a_failed_check_shows_its_rows_and_the_remedy(web: WebServer, page: Browser) -> None:
    """In the backfill of ten sessions, AAPL lost half of its price, which is true."""
    page.visit(f"{web.url}/assets/staged/daily_prices?view=checks&checkDetail=no_unexplained_jump")
    reads(page, f"1 bad row, first: AAPL {FALL.isoformat()}: -51.87%")
    reads(page, "check for a split that the source does not know yet")
    cells = "[...document.querySelectorAll('td')].map((cell) => cell.innerText.trim())"
    page.wait_for(f"{cells}.includes('-51.87%')")
    found = page.run(f"return {cells}")
    at = found.index("-51.87%")
    assert found[at - 2 : at + 1] == ["AAPL", FALL.isoformat(), "-51.87%"]


def test_failed_and_missing_selects_only_sessions_that_are_not_loaded(web: WebServer, page: Browser) -> None:
    """Ten of eleven sessions are loaded."""
    before = len(web.station.runs())
    page.visit(f"{web.url}/assets/raw/daily_prices?view=partitions")
    select_sessions(page, f"[{ELEVEN[0]}...{ELEVEN[-1]}]", "11 partitions")
    page.run(
        "[...document.querySelectorAll('.dagster-dialog label')]"
        ".find((label) => label.innerText.includes('only failed and missing')).click()"
    )
    click(page, "Launch")
    run = new_run(web.station, before)
    assert run.is_success
    assert tagged_sessions(run.tags) == ELEVEN[-1:]
