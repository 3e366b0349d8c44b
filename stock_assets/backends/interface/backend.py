"""The interface of a backend: its parts, and the statements that its engine has run.

Belongs here: `Backend` and what is not part of objects, ledger, rate limiter or warehouse. Does not belong here:
anything that knows a folder, a bucket or an engine.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from stock_assets.backends.interface.damage import Damage
from stock_assets.backends.interface.ledger import FetchLedger
from stock_assets.backends.interface.objects import Objects
from stock_assets.backends.interface.rate_limiter import RateLimiter
from stock_assets.backends.interface.warehouse import Warehouse


@dataclass(frozen=True)
class StatementRun:
    """One statement that was sent to a remote engine.

    Attributes:
        query_id: the engine's id.
        statement: first word of the statement.
        state: final state.
        seconds: seconds from sending the statement to its end.
        queued_seconds: part of `seconds` before the statement started.
        scanned_bytes: bytes that the statement read.
        cost: estimate in USD; None for an engine without a price per statement.
        link: address of the statement in the engine's UI.
    """

    query_id: str
    statement: str
    state: str
    seconds: float
    queued_seconds: float
    scanned_bytes: int
    cost: float | None
    link: str


@dataclass(frozen=True)
class StatementLog:
    """Statements that were sent to an engine.

    Attributes:
        engine: name of the engine.
        new: statements since the log was taken last.
        total: all statements of this process.
    """

    engine: str
    new: tuple[StatementRun, ...]
    total: tuple[StatementRun, ...]


class Backend(ABC):
    """The storage of the data, and the engine that runs SQL.

    The first access to a part checks the layout version of the data folder, and the first write records it
    (`backends.layout`); data of another layout raise `UnsupportedLayout` and are neither read nor changed.
    """

    @property
    @abstractmethod
    def objects(self) -> Objects:
        """Raw responses and records of loads."""

    @property
    @abstractmethod
    def ledger(self) -> FetchLedger:
        """The requests that were sent to the source."""

    @property
    @abstractmethod
    def rate_limiter(self) -> RateLimiter:
        """The calls to each vendor."""

    @property
    @abstractmethod
    def warehouse(self) -> Warehouse:
        """Staging tables and published tables."""

    @abstractmethod
    def damage(self, *, deep: bool = False) -> Iterator[Damage]:
        """Find files that are missing or damaged; nothing is changed.

        Args:
            deep: compare contents too, not only existence, size and structure.
        """

    def publishing(self) -> AbstractContextManager[None]:
        """Exclude other publishes of the same backend while the context is open, where the backend can.

        It saves work: publishes that overlap are also right, since each commit compares the table with the snapshot
        that its load was staged on. Athena and Trino rely on this comparison, because their catalog has no lock that a
        killed process releases.

        Raises:
            ConcurrentPublish: another process did not end its publish.
        """
        return nullcontext()

    def take_statement_log(self) -> StatementLog | None:
        """Return the statements that were sent since the last call, or None if SQL runs in this process."""
        return None
