"""Backends that tests run on, and jobs that several processes run on one backend at once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from stock_assets.backends.interface import Backend
from stock_assets_tests.support.backend_writers import Job, at_once
from stock_assets_tests.support.processes import fork_server


@dataclass(frozen=True)
class BackendCase:
    """A backend that the tests run on.

    Attributes:
        name: part of the test's name.
        make: constructs a backend below a folder; the same folder gives the same backend. Other processes call it too,
            so it must be importable.
        contracts_in: module that reads the contracts of the tables, for tests in which a contract gains columns.
        scatter: adds rows to published.daily_prices, each in its own file and snapshot, as another writer may.
        set_clock: sets the engine's clock, by which it decides what is old, ahead of this machine's clock; None for an
            engine whose clock cannot be set, on which nothing that a test writes is old enough to be removed.
    """

    name: str
    make: Callable[[Path], Backend]
    contracts_in: str
    scatter: Callable[[Path, pa.Table], None]
    set_clock: Callable[[timedelta], None] | None = None


def in_processes(case: BackendCase, folder: Path, job: Job, count: int = 4) -> list[str]:
    """Run a job in several processes that start together; return the result of each."""
    context = fork_server()
    barrier = context.Barrier(count)
    pipes = [context.Pipe(duplex=False) for _ in range(count)]
    processes = [
        context.Process(target=at_once, args=(case.make, folder, number, job, barrier, sender), daemon=True)
        for number, (_, sender) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count
    return [str(receiver.recv()) for receiver, _ in pipes]
