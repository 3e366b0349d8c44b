"""The interface between the lakehouse tables and a SQL engine: Athena (`backends.athena`) or Trino (`backends.trino`).

Belongs here: what both engines share: retries, cached results, the record of statements, and stopping a statement when
the caller is interrupted. Does not belong here: the client of one engine.
"""

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
from stock_assets.core.retry import retrying
from stock_assets.core.text import plural

SHOWN = 4000
"""Characters of a statement that an error message contains."""
_ATTEMPTS = 4
_LONGEST_PAUSE_SECONDS = 20.0
_FIRST_PAUSE_SECONDS = 2.0
_MOST_CACHED = 32
_CACHED_ROWS: dict[tuple[Hashable, str], pa.Table] = {}


class SqlEngine(ABC):
    """Run statements one at a time and record time, bytes and cost of each.

    Attributes:
        name: name for messages.
        largest_statement: longest statement that the engine accepts, in bytes of SQL.
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
        """Run one statement to its end; retry transient failures.

        Returns:
            The rows with their types. For a statement other than SELECT, ignore the rows.

        Raises:
            QueryFailed: the statement failed or the engine rejected it; the message contains id, reason and link.
            AccessRefused: the credentials are missing, expired or not sufficient.
            SettingsError: the settings do not name a usable engine.
        """
        size = len(statement.encode())
        if size > self.largest_statement:
            raise QueryFailed(
                f"{self.name} accepts at most {plural(self.largest_statement, 'byte')} per statement, this one "
                f"has {size:,}; load a shorter range of sessions\n{statement[:SHOWN]}"
            )
        policy = retrying(
            attempts=_ATTEMPTS,
            longest_seconds=_LONGEST_PAUSE_SECONDS,
            first_seconds=_FIRST_PAUSE_SECONDS,
            on=EngineBusy,
            sleep=self._pause,
        )
        return policy(self._run_once, statement)

    def run_cached(self, statement: str) -> pa.Table:
        """Run a statement whose result cannot change, once per process; return the cached rows after that.

        Sensors read the same snapshot of a table every few minutes, and Athena charges for each statement.
        """
        key = (self._identity, statement)
        if key not in _CACHED_ROWS:
            rows = self.run(statement)
            while len(_CACHED_ROWS) >= _MOST_CACHED:
                _CACHED_ROWS.pop(next(iter(_CACHED_ROWS)), None)
            _CACHED_ROWS[key] = rows
        return _CACHED_ROWS[key]

    def take_runs(self) -> tuple[list[StatementRun], list[StatementRun]]:
        """Return the statements since the last call, and all statements of this engine."""
        new, self._reported = self._runs[self._reported :], len(self._runs)
        return new, list(self._runs)

    @abstractmethod
    def _run_once(self, statement: str) -> pa.Table:
        """Run a statement once and append its record to `_runs`; raise EngineBusy for a transient failure."""


def run_interruptibly(
    work: Callable[[], pa.Table], stop: Callable[[], object], *, thread: str, patience_seconds: float
) -> pa.Table:
    """Run work in a separate thread while the caller waits; stop the work when the caller is interrupted.

    Any interruption counts, also Dagster's, which is not an Exception. After `stop`, wait until the work has ended,
    at most `patience_seconds`.
    """
    done: Future[pa.Table] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 (the waiting caller raises it again)
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
