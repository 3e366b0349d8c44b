"""Settings of the interpreter: each test is a process of its own, because they change the whole process."""

import subprocess
import sys

import pytest


def run(program: str) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
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
