"""Settings of the interpreter: each test is a process of its own, because they change the whole process."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

REPOSITORY = Path(__file__).parents[2]
# Ends with 3. Whether the object is destroyed shows how the process ends.
ENDING = """
import atexit, sys, threading, time
from stock_assets.core.interpreter import run_and_end

class Destroyed:
    def __del__(self):
        print("destroyed")

kept = Destroyed()

def later():
    time.sleep(0.1)
    print("thread")

def program():
    atexit.register(print, "handler", end="")
    threading.Thread(target=later).start()
    {end}

run_and_end(program)
"""


def ended(
    program: str, variables: Mapping[str, str] | None = None, *, stdout: IO[str] | int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    # Output is buffered, as in a shell.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | dict(variables or {}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def run(program: str, variables: Mapping[str, str] | None = None) -> str:
    """Run a program that succeeds, and return what it prints."""
    done = ended(program, variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_pyarrow_converts_lists_without_pandas_and_still_converts_to_and_from_pandas() -> None:
    program = """
import sys
from stock_assets.core.interpreter import use_pyarrow_without_pandas
use_pyarrow_without_pandas()
import pyarrow as pa
rows = pa.table({"price": [1.5, None], "symbol": ["A", "B"]})
assert "pandas" not in sys.modules
frame = rows.to_pandas()
assert frame["price"].isna().tolist() == [False, True]
assert pa.array(frame["price"]).null_count == 1
print(pa.Table.from_pandas(frame).to_pylist() == rows.to_pylist())
"""
    assert run(program) == "True"


def test_pandas_that_is_imported_already_is_used() -> None:
    program = """
import pandas as pd
from stock_assets.core.interpreter import use_pyarrow_without_pandas
use_pyarrow_without_pandas()
import pyarrow as pa
print(pa.array(pd.Series([1.5, None])).null_count)
"""
    assert run(program) == "1"


@pytest.mark.parametrize("program", ["stock_assets.cli.app", "stock_assets.definitions"])
def test_the_command_line_and_dagsters_processes_collect_garbage_rarely(program: str) -> None:
    """Python's default is 700 objects; libraries may change it, too, so that the number is read at the end."""
    started = """
import gc, importlib, sys
sys.argv = ["stock-assets", "--help"]
main = getattr(importlib.import_module("{program}"), "main", None)
try:
    main() if main else None
except SystemExit:
    pass
print("\\n" + str(gc.get_threshold()[0]))
"""
    assert run(started.replace("{program}", program)).splitlines()[-1] == "100000"


@pytest.mark.parametrize(("end", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("pass", 0)])
def test_a_process_waits_for_threads_and_handlers_and_destroys_nothing(end: str, code: int) -> None:
    """The output has no end of line, so that it is still in the buffer at the end."""
    done = ended(ENDING.format(end=end))
    assert (done.returncode, done.stdout, done.stderr) == (code, "thread\nhandler", "")


def test_an_unexpected_error_ends_the_process_as_usual() -> None:
    done = ended(ENDING.format(end="1 / 0"))
    assert (done.returncode, done.stdout) == (1, "thread\nhandlerdestroyed\n")
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a file that accepts nothing")
def test_output_that_cannot_be_written_is_an_error_as_usual() -> None:
    with Path("/dev/full").open("w") as full:
        done = ended(ENDING.format(end="sys.exit(0)"), stdout=full)
    assert done.returncode == 120
    assert "No space left on device" in done.stderr


def test_the_installed_program_and_the_module_end_without_destruction() -> None:
    program = """
import os, runpy, sys
os._exit = lambda code: print("ended with", code)
sys.argv = ["stock-assets", "--help"]
runpy.run_module("stock_assets")
"""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

    assert run(program).splitlines()[-1] == "ended with 0"
    assert project["scripts"] == {"stock-assets": "stock_assets.cli.app:program"}
    assert "from stock_assets.cli.app import program\n" in (REPOSITORY / "stock_assets/__main__.py").read_text()
