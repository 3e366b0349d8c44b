"""Commands start quickly: slow libraries are imported only by commands that need them.

`benchmarks/startup.py` measures the CPU time.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stock_assets_tests.support.shell import Shell

NEVER_FOR_HELP = {"dagster", "pandas", "pyiceberg", "exchange_calendars", "pyarrow"}
NEVER_FOR_READING = {"dagster", "altair", "exchange_calendars", "boto3", "pandas", "sqlalchemy"}
# Runs a command in this process, and prints the libraries that it has imported.
RUN_COMMAND = """
import sys
from stock_assets.cli.app import main
sys.argv[0] = "stock-assets"
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
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


@pytest.mark.parametrize("arguments", [("--help",), ("backfill", "--help"), ("import", "--help"), ("query", "--help")])
def test_help_imports_no_slow_library(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(RUN_COMMAND, *arguments, data=tmp_path) & NEVER_FOR_HELP


def test_shell_completion_imports_no_slow_library(tmp_path: Path) -> None:
    environment = {"_STOCK_ASSETS_COMPLETE": "complete_bash", "COMP_WORDS": "stock-assets ", "COMP_CWORD": "1"}
    assert not imported(RUN_COMMAND, data=tmp_path, **environment) & NEVER_FOR_HELP


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one published session."""
    folder = tmp_path_factory.mktemp("data")
    Shell(folder).run("backfill", "2013-03-01", "2013-03-01")
    return folder


@pytest.mark.parametrize("arguments", [("query", "select 1"), ("summary",), ("tables",), ("history",)])
def test_reading_imports_no_library_that_only_writing_needs(published: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(RUN_COMMAND, *arguments, data=published) & NEVER_FOR_READING
