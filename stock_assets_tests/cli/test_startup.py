"""Commands start quickly: slow libraries are imported only by commands that need them.

`benchmarks/startup.py` measures the CPU time.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets.core.calendar import previous_session
from stock_assets.settings import Settings
from stock_assets_tests.fakes.vendor_server import VendorServer, running

NEVER_FOR_HELP = {"dagster", "pandas", "pyiceberg", "exchange_calendars", "pyarrow"}
NEVER_FOR_READING = {"dagster", "exchange_calendars", "boto3", "pandas", "sqlalchemy"}
NEVER_FOR_A_LATER_LOAD = {"boto3", "requests", "exchange_calendars", "sqlglot", "pandas"}
NEVER_FOR_A_LATER_LIVE_LOAD = NEVER_FOR_A_LATER_LOAD - {"requests"} | {"apprise", "jinja2", "grpc", "dagster_webserver"}
# Runs commands, separated by semicolons, in one process, and prints the libraries that it has imported.
RUN_COMMANDS = """
import shlex, sys
from stock_assets.cli.app import main
for command in " ".join(sys.argv[1:]).split(";"):
    sys.argv = ["stock-assets", *shlex.split(command)]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def imported(program: str, *arguments: str, data: Path, **environment: str) -> set[str]:
    """Return the libraries that a program has imported, as its last line names them."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PATH": os.environ["PATH"], "STOCK_ASSETS_DATA_DIR": str(data)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].removeprefix("imported: ").split())


def test_importing_the_command_line_imports_no_slow_library(tmp_path: Path) -> None:
    program = (
        "import sys, stock_assets.cli.app; "
        "print('imported:', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    assert not imported(program, data=tmp_path) & NEVER_FOR_HELP


def test_help_imports_no_slow_library(tmp_path: Path) -> None:
    commands = "--help; backfill --help; import --help; query --help"
    assert not imported(RUN_COMMANDS, commands, data=tmp_path) & NEVER_FOR_HELP


def test_shell_completion_imports_no_slow_library(tmp_path: Path) -> None:
    environment = {"_STOCK_ASSETS_COMPLETE": "complete_bash", "COMP_WORDS": "stock-assets ", "COMP_CWORD": "1"}
    assert not imported(RUN_COMMANDS, data=tmp_path, **environment) & NEVER_FOR_HELP


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data folder after two loads, and with their cache."""
    folder = tmp_path_factory.mktemp("loaded")
    for day in ("2013-02-27", "2013-02-28"):
        imported(RUN_COMMANDS, f"backfill {day} {day}", data=folder / "data", XDG_CACHE_HOME=str(folder / "cache"))
    return folder


@pytest.mark.slow
def test_reading_imports_no_library_that_only_writing_needs(loaded: Path) -> None:
    commands = "query 'select 1'; summary; tables; history"
    assert not imported(RUN_COMMANDS, commands, data=loaded / "data") & NEVER_FOR_READING


@pytest.mark.slow
def test_loading_only_what_is_missing_imports_no_dagster_where_nothing_is_missing(loaded: Path) -> None:
    """A second `make run`: Dagster's imports and events are most of a run."""
    runs = Settings(data_dir=loaded / "data").instance_dir / "history" / "runs"
    before = sorted(runs.glob("*.db"))
    assert before

    assert "dagster" not in imported(
        RUN_COMMANDS,
        "backfill 2013-02-27 2013-02-28 --missing",
        data=loaded / "data",
        XDG_CACHE_HOME=str(loaded / "cache"),
    )

    assert sorted(runs.glob("*.db")) == before


@pytest.mark.slow
def test_a_later_load_imports_no_library_that_draws_translates_or_notifies(loaded: Path) -> None:
    """The translations and the calendar are in the cache after the first load of each kind."""
    load, cache = "backfill 2013-03-01 2013-03-01", str(loaded / "cache")
    assert not imported(RUN_COMMANDS, load, data=loaded / "data", XDG_CACHE_HOME=cache) & NEVER_FOR_A_LATER_LOAD


@pytest.mark.slow
def test_a_later_live_load_imports_only_the_library_that_sends_its_requests(tmp_path: Path) -> None:
    server = VendorServer()
    newest = server.last_session
    universe = tmp_path / "universe.csv"
    universe.write_text("symbol,name,first_session,last_session\nAMD,AMD,2000-01-03,\n")
    environment = {
        "STOCK_ASSETS_SOURCE": "alpha_vantage",
        "STOCK_ASSETS_ALPHA_VANTAGE_BASE_URL": server.url,
        "STOCK_ASSETS_ALPHA_VANTAGE_PLAN": "premium_1200",
        "STOCK_ASSETS_UNIVERSE": str(universe),
        "ALPHAVANTAGE_API_KEY": "any",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    with running(server):
        for day in (previous_session(newest), newest):
            server.last_session, requests = day, len(server.requested())
            found = imported(RUN_COMMANDS, f"backfill {day} {day}", data=tmp_path / "data", **environment)
            assert len(server.requested()) == requests + 1

    assert "requests" in found
    assert not found & NEVER_FOR_A_LATER_LIVE_LOAD
