"""What the tables of this backend need of an engine: Athena (`athena`), or a Trino of one's own (`backends.trino`).

Belongs here: what is the same for every engine: tries, answers kept, counting, and that whatever interrupts the caller
stops the statement. Does not belong here: any engine's client.
"""

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import ClassVar

import pyarrow as pa

from stock_assets.backends.interface import StatementRun
from stock_assets.backends.lakehouse.ddl import Ddl
from stock_assets.core.errors import EngineBusy, QueryFailed

SHOWN = 4000
"""Characters of a statement that an error shows."""
_TRIES = 4
_LONGEST_PAUSE_SECONDS = 20.0
_ANSWERS_KEPT = 32
_ANSWERS: dict[tuple[Hashable, str], pa.Table] = {}


class SqlEngine(ABC):
    """Runs statements, one at a time, and keeps count of what they took.

    Attributes:
        name: for messages.
        largest_statement: bytes of SQL that it takes.
    """

    name: ClassVar[str]
    largest_statement: ClassVar[int]

    def __init__(self, identity: Hashable, ddl: Ddl, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._identity = identity
        self._pause = pause
        self._runs: list[StatementRun] = []
        self._reported = 0
        self.ddl = ddl

    def run(self, statement: str) -> pa.Table:
        """Run one statement to its end; a passing failure is tried again.

        Returns:
            its rows, typed; a statement that is no SELECT has none that matter.

        Raises:
            QueryFailed: it ended in any other way, or was refused; the error says how, and bears id, reason and link.
            AccessRefused: the credentials do not do.
            SettingsError: what is set leads to no usable engine.
        """
        size = len(statement.encode())
        if size > self.largest_statement:
            raise QueryFailed(
                f"a statement of {size:,} bytes is over {self.name}'s limit of {self.largest_statement:,}; "
                f"load a shorter range of sessions\n{statement[:SHOWN]}"
            )
        for attempt in range(1, _TRIES + 1):
            try:
                return self._run_once(statement)
            except EngineBusy:
                if attempt == _TRIES:
                    raise
            self._pause(random.uniform(0, min(2.0**attempt, _LONGEST_PAUSE_SECONDS)))  # noqa: S311 (jitter)
        raise AssertionError("unreachable")

    def run_once_for_all(self, statement: str) -> pa.Table:
        """Run a statement whose answer can never change; where this process has it already, that is the answer.

        Sensors look at the same version of a table every few minutes, and Athena charges for each look.
        """
        key = (self._identity, statement)
        if key not in _ANSWERS:
            answer = self.run(statement)
            while len(_ANSWERS) >= _ANSWERS_KEPT:
                _ANSWERS.pop(next(iter(_ANSWERS)), None)
            _ANSWERS[key] = answer
        return _ANSWERS[key]

    def take_runs(self) -> tuple[list[StatementRun], list[StatementRun]]:
        """Give the runs since the last time they were taken, and all there were."""
        new, self._reported = self._runs[self._reported :], len(self._runs)
        return new, list(self._runs)

    @abstractmethod
    def _run_once(self, statement: str) -> pa.Table:
        """Run a statement once, and note in `_runs` what it took; raise EngineBusy for what another try may mend."""


def interruptible(
    work: Callable[[], pa.Table], stop: Callable[[], object], *, thread: str, patience_seconds: float
) -> pa.Table:
    """Work in a thread of its own while the caller waits.

    Whatever interrupts the caller, Dagster's interruption among others, which is no Exception, stops the work; it is
    waited for until it is seen to have ended.
    """
    done: Future[pa.Table] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 (it is raised again where the caller waits)
            done.set_exception(error)

    worker = threading.Thread(target=run, name=thread, daemon=True)
    try:
        worker.start()
        return done.result()
    except BaseException:
        if not done.done():
            stop()
            worker.join(patience_seconds)
        raise
