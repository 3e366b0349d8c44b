"""The commands `status` and `doctor` on real data folders."""

import os
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stock_assets.alerts.deduplication import Notifier
from stock_assets.alerts.incident import Incident
from stock_assets.cli.app import app
from stock_assets.pipeline import Pipeline
from stock_assets_tests.support.shell import Shell

FIRST, LAST = date(2013, 2, 27), date(2013, 2, 28)
LIVE = {"STOCK_ASSETS_SOURCE": "alpha_vantage", "ALPHAVANTAGE_API_KEY": "SECRETKEY123"}


def lines_of(text: str) -> dict[str, str]:
    """Return the first line below each name."""
    return {line[:12].strip(): line[12:] for line in text.splitlines() if line[:12].strip()}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A data folder with two sessions of the last three."""
    shell = Shell(tmp_path_factory.mktemp("data"))
    pipeline = Pipeline.from_settings(shell.settings)
    pipeline.fetch([FIRST, LAST])
    pipeline.stage([FIRST, LAST])
    pipeline.publish([FIRST, LAST])
    return shell


def test_status_shows_published_and_missing_data_and_open_incidents(shell: Shell) -> None:
    notifier = Notifier(Pipeline.from_settings(shell.settings).backend, ())
    notifier.notify(Incident("run", "published", "Run 1 failed in published/daily_prices"), datetime.now(UTC))
    out = shell.run_main("status", STOCK_ASSETS_CATCH_UP_SESSIONS="3").stdout
    found = lines_of(out)
    assert found["Published"] == "10 rows of 5 symbols, latest session 2013-02-28"
    assert found["Checked"] == "3 sessions, 2013-02-27 to 2013-03-01"
    assert found["Missing"] == "2013-03-01: stock-assets backfill 2013-03-01 2013-03-01 --missing"
    assert (found["Rejected"], found["Quarantined"]) == ("none", "none")
    assert found["Quota"] == "requests to this source use no calls"
    assert found["Next run"] == "none: the source ends on 2013-03-01"
    assert found["Incidents"] == "Run 1 failed in published/daily_prices"
    assert len(out.splitlines()) <= 24


def test_status_names_the_command_for_its_universe(tmp_path: Path) -> None:
    for name, symbol in (("banks", "IBM"), ("energy", "AAPL")):
        (tmp_path / f"{name}.csv").write_text(
            f"symbol,name,first_session,last_session\n{symbol},A company,,\n", encoding="utf-8"
        )
    universes = {"STOCK_ASSETS_UNIVERSES": f"{tmp_path / 'banks.csv'},{tmp_path / 'energy.csv'}"}
    shell = Shell(tmp_path / "data", STOCK_ASSETS_CATCH_UP_SESSIONS="2", **universes)
    # The option changes the environment of the process; `run_main` restores the variables that it has set.
    out = shell.run_main("--universe", "banks", "status", STOCK_ASSETS_UNIVERSE_NAME="energy").stdout
    command = "stock-assets --universe banks backfill 2013-02-28 2013-03-01 --missing"
    assert lines_of(out)["Missing"] == f"2013-02-28 to 2013-03-01 (2 sessions): {command}"


def test_status_of_an_empty_folder_creates_nothing(tmp_path: Path) -> None:
    found = lines_of(Shell(tmp_path / "new").run_main("status", code=0, **LIVE).stdout)
    assert found["Published"] == "none"
    assert "25 of 25 left per day" in found["Quota"]
    assert "UTC, if Dagster's daemon is running (stock-assets ui)" in found["Next run"]
    assert not (tmp_path / "new").exists()


def test_doctor_checks_the_default_set_up(shell: Shell) -> None:
    found = lines_of(shell.run_main("doctor").stdout)
    assert "duckdb" in found["versions"]
    assert found["settings"].startswith("source recorded, backend local; set: data_dir")
    assert found["universe"] == "5 symbols of the package"
    assert "10 published rows" in found["backend"]
    assert found["key"] == "not needed by the recorded sample"


def test_doctor_names_only_the_settings_that_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STOCK_ASSETS_")]:
        monkeypatch.delenv(name)
    out = CliRunner().invoke(app, ["doctor"]).stdout
    assert "source recorded, backend local; set: nothing" in out
    monkeypatch.setenv("STOCK_ASSETS_MIN_COVERAGE", "0.6")
    assert "; set: min_coverage\n" in CliRunner().invoke(app, ["doctor"]).stdout


def test_doctor_names_a_missing_key_and_an_unreachable_vendor(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        out = Shell(tmp_path).run_main("doctor", code=0, STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL=url, **LIVE).stdout
        assert lines_of(out)["vendor"] == f"127.0.0.1:{port} accepts connections"
        assert "SECRETKEY123" not in out
    live = LIVE | {"ALPHAVANTAGE_API_KEY": "", "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL": url}
    error = Shell(tmp_path).run_main("doctor", code=1, **live).stderr
    assert "ALPHAVANTAGE_API_KEY is not set" in error
    assert f"127.0.0.1:{port} cannot be reached" in error
