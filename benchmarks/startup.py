"""CPU time of short commands, which is mostly the time of imports. Run: `python -m benchmarks.startup`.

Each number is the median CPU time (user and system) of some processes, beside its limit. The processes use compiled
modules, as after any installation: Python compiles a module when it is first imported, and pip when it installs it.
Without them (`PYTHONDONTWRITEBYTECODE`) each command takes about twice as long.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

REPETITIONS = 5
# Not `python -m stock_assets`: the shell completes the installed program, and names its variable after it.
PROGRAM = str(Path(sys.executable).with_name("stock-assets"))
COMPLETION = {"_STOCK_ASSETS_COMPLETE": "complete_bash", "COMP_WORDS": "stock-assets ", "COMP_CWORD": "1"}


def cpu_seconds(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the median CPU time of a command."""
    return statistics.median(cpu_seconds_once(arguments, environment) for _ in range(REPETITIONS))


def cpu_seconds_once(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the CPU time of a command that succeeds."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603 (fixed arguments)
        [PROGRAM, *arguments], env={**inherited, **environment}, capture_output=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the CPU time of each command; exit with 1 if one exceeds its limit."""
    with tempfile.TemporaryDirectory() as folder:
        data = {
            "STOCK_ASSETS_DATA_DIR": f"{folder}/data",
            "STOCK_ASSETS_SOURCE": "recorded",
            "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
        }
        cpu_seconds_once(["backfill", "2013-02-25", "2013-03-01"], data)
        # The first of these commands would compile what the backfill has not imported.
        cpu_seconds_once(["summary"], data)
        measured = [
            ("stock-assets --help", cpu_seconds(["--help"], data), 0.6),
            ("completion in the shell", cpu_seconds([], data | COMPLETION), 0.6),
            ('stock-assets query "select 1"', cpu_seconds(["query", "select 1"], data), 1.5),
            ("stock-assets summary", cpu_seconds(["summary"], data), 1.5),
        ]
    for name, seconds, limit in measured:
        print(f"{name:32}{seconds:6.2f} s of CPU, limit {limit} s")
    if any(seconds > limit for _, seconds, limit in measured):
        sys.exit("a command exceeds its limit")


if __name__ == "__main__":
    main()
