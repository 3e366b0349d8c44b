"""How many calls each vendor takes, and who counts them.

Belongs here: the limits, and the interface of the count. Does not belong here: where a backend keeps it, or how a
call is made.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock


@dataclass(frozen=True)
class CallDenied:
    """A call that may not be made now.

    Attributes:
        until: first moment at which it may be tried again, aware, UTC.
        quota_used_up: it waits for another quota day (or for the vendor, which said so), not for the pace.
    """

    until: datetime
    quota_used_up: bool


class RateLimiter(ABC):
    """The calls made to each vendor, counted across runs, processes and restarts.

    The pace is a bucket of tokens: each call takes one, and a token comes back one window (`SECOND`, `MINUTE`) after
    it was taken. So no window of that length, wherever it begins, ever holds more calls than the limit.
    """

    @abstractmethod
    def acquire(self, vendor: str, limits: CallLimits, now: Clock, *, reserve: int = 0) -> CallDenied | None:
        """Take one call before it is made; whoever asks at the same time sees it taken.

        Args:
            vendor: name of the account.
            limits: what the plan allows.
            now: read while no other caller can take a call, so that waiting for them is not counted as time.
            reserve: calls of the day to leave untaken.

        Returns:
            None when the call is taken, else when to try again; nothing is taken then.
        """

    @abstractmethod
    def close(self, vendor: str, until: datetime) -> None:
        """Take no more calls until a moment, since the vendor itself said that none are left."""

    @abstractmethod
    def blocked_until(self, vendor: str, at: datetime) -> datetime | None:
        """Tell until when no calls are taken, or None if they are."""

    @abstractmethod
    def spent(self, vendor: str, since: datetime) -> int:
        """Count the calls taken from a moment on, that moment included."""
