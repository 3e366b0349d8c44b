"""Work that a fault interrupts, and the judgement of the folder afterwards.

Belongs here: preparing a folder, the rows that consumers may see, and what became of them. Does not belong here: the
faults (the tests beside this module), the work itself (`support.crash_workloads`).
"""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from stock_assets.cli.storage_errors import storage_message
from stock_assets.core.errors import StockAssetsError
from stock_assets_tests.support.crash_workloads import WORKLOADS, Expected, damaged_responses, examine
from stock_assets_tests.support.scenes import content, keys
from stock_assets_tests.support.steps import local_backend

Rows = list[dict[str, object]]
FILE_ERRORS = (StockAssetsError, OSError, sqlite3.Error, duckdb.Error, pa.ArrowException)


@dataclass(frozen=True)
class Prepared:
    """A folder before a piece of work, and what consumers see before and after it.

    Attributes:
        name: the work.
        original: the folder before it.
        expected: the rows.
    """

    name: str
    original: Path
    expected: Expected

    @classmethod
    def of(cls, name: str, folder: Path) -> "Prepared":
        """Prepare a folder, and do the work and the load that follows in it once; a copy keeps the state before."""
        root, original, workload = folder / "root", folder / "original", WORKLOADS[name]
        root.mkdir(parents=True)
        workload.prepare(root)
        shutil.copytree(root, original)
        before = content(local_backend(root))
        workload.work(root)
        after = content(local_backend(root))
        workload.finish(root)
        finished = content(local_backend(root))
        return cls(name, original, Expected(before, after, finished))

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Put the state before the work at the path at which it was made: Iceberg stores absolute paths."""
        root = self.original.with_name("root")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.original, root)
        yield root
        shutil.rmtree(root, ignore_errors=True)

    def work(self, root: Path) -> None:
        """Do the work."""
        WORKLOADS[self.name].work(root)

    def result(self, root: Path, *, finish: bool = True) -> tuple[str, str]:
        """Return the column of the table that a fault counts in, and the problem; do the load that follows."""
        problem = examine(root, self.name, self.expected, finish=finish)
        if not problem:
            return "survived", ""
        return judge(root, [self.expected.before[0], self.expected.after[0], self.expected.finished[0]]), problem


def judge(root: Path, allowed: list[Rows]) -> str:
    """Return what is wrong with published rows, as a column of the table; `failed` if the rows are right."""
    try:
        rows, _ = content(local_backend(root))
        lost_responses = damaged_responses(local_backend(root))
    except FILE_ERRORS:
        return "failed"
    if max(Counter((row["symbol"], row["trade_date"]) for row in rows).values(), default=0) > 1:
        return "duplicated"
    if lost_responses or not any(keys(rows) == keys(other) for other in allowed):
        return "lost"
    return "failed" if rows in allowed else "wrong"


def message(error: BaseException) -> str:
    """Return what a command prints about an error; the error itself if it would print a traceback."""
    return str(error) if isinstance(error, StockAssetsError) else storage_message(error) or repr(error)


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a temporary folder that every user may enter; those of pytest belong to one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
