"""Decide whether a call to a vendor may be made now.

Belongs here: the interface of the rate limiter, and the quota arithmetic that every backend shares. Does not belong
here: how many calls a plan allows (`core.call_limits`), where calls are stored (the backends), or how a request is sent
(`ingest.requester`).
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock


@dataclass(frozen=True)
class CallDenied:
    """A call that may not be made now.

    Attributes:
        retry_at: earliest timestamp at which the call may be tried again, aware, UTC.
        quota_used_up: True if the call has to wait for the next quota day, or for the end of a block that the vendor
            caused; False if only the rate per second or minute is reached.
    """

    retry_at: datetime
    quota_used_up: bool


@dataclass(frozen=True)
class VendorCalls:
    """The recorded calls of one vendor; pure arithmetic, without storage.

    Attributes:
        calls: timestamps of calls, oldest first; the calls since `counted_since` are enough for `decide`.
        blocked_until: end of the block that the vendor caused, or None.
    """

    calls: Sequence[datetime] = ()
    blocked_until: datetime | None = None

    @staticmethod
    def counted_since(limits: CallLimits, at: datetime) -> datetime:
        """Return the earliest timestamp whose calls count for a decision at `at`."""
        starts = [at - window for _, window in limits.rates]
        if limits.per_day is not None:
            starts.append(limits.day_start(at))
        return min(starts, default=at)

    def active_block(self, at: datetime) -> datetime | None:
        """Return when the block ends, or None if no block is active at `at`."""
        return self.blocked_until if self.blocked_until is not None and self.blocked_until > at else None

    def used_calls(self, since: datetime) -> int:
        """Count the calls at or after `since`."""
        return len(self.calls) - bisect_left(self.calls, since)

    def decide(self, limits: CallLimits, at: datetime, *, reserve: int = 0) -> CallDenied | None:
        """Return None if a call may be made at `at`, otherwise when to try again."""
        block = self.active_block(at)
        if block is not None:
            return CallDenied(block, quota_used_up=True)
        if limits.per_day is not None and self.used_calls(limits.day_start(at)) >= limits.per_day - reserve:
            return CallDenied(limits.next_reset(at), quota_used_up=True)
        retry_at = max((self._token_returns_at(*rate, at) for rate in limits.rates), default=at)
        return CallDenied(retry_at, quota_used_up=False) if retry_at > at else None

    def _token_returns_at(self, allowed: int, window: timedelta, at: datetime) -> datetime:
        """Return when one of the window's tokens is available: the n-th newest call plus the window."""
        if len(self.calls) < allowed:
            return at
        # After a clock was set back, calls lie in the future; no token is unavailable for longer than its window.
        return min(self.calls[-allowed], at) + window


class RateLimiter(ABC):
    """The calls made to each vendor, counted across runs, processes and restarts.

    The rate is a bucket of tokens: each call takes a token, and the token returns one window (`SECOND`, `MINUTE`) after
    the call. So no window of that length, wherever it begins, ever holds more calls than the limit.
    """

    @abstractmethod
    def acquire(self, vendor: str, limits: CallLimits, now: Clock, *, reserve: int = 0) -> CallDenied | None:
        """Record one call before it is made, visible to every concurrent caller, if the limits allow it.

        Args:
            vendor: name of the account.
            limits: calls that the plan allows.
            now: clock; read while no other caller can acquire a call, so that waiting for other callers does not count.
            reserve: calls of the day that this caller must leave for others.

        Returns:
            None when the call is recorded, otherwise when to try again; nothing is recorded then.
        """

    @abstractmethod
    def block_until(self, vendor: str, until: datetime) -> None:
        """Deny all calls until a timestamp, because the vendor itself reported that none are left."""

    @abstractmethod
    def blocked_until(self, vendor: str, at: datetime) -> datetime | None:
        """Return when the block ends, or None if calls are not blocked at `at`."""

    @abstractmethod
    def used_calls(self, vendor: str, since: datetime) -> int:
        """Count the calls at or after `since`."""
