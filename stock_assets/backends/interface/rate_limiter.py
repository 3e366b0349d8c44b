"""The interface of the rate limiter: acquire a call to a vendor before it is made.

Belongs here: what every backend's rate limiter does. Does not belong here: the arithmetic that decides whether a call
may be made (`core.call_limits`), where calls are stored (the backends), or how a request is sent (`ingest.requester`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from stock_assets.core.call_limits import CallDenied, CallLimits, VendorCalls
from stock_assets.core.clock import Clock


class RateLimiter(ABC):
    """The calls made to each vendor, counted across runs, processes and restarts.

    The rate is a bucket of tokens: each call takes a token, and the token returns one window (`SECOND`, `MINUTE`) after
    the call. So no window of that length, wherever it begins, ever holds more calls than the limit.
    """

    def acquire(
        self, vendor: str, limits: CallLimits, now: Clock, *, reserve: int = 0, replaces: datetime | None = None
    ) -> CallDenied | None:
        """Record one call, see `acquire_up_to`; return None, or when to try again."""
        acquired = self.acquire_up_to(1, vendor, limits, now, reserve=reserve, replaces=replaces)
        return acquired if isinstance(acquired, CallDenied) else None

    @abstractmethod
    def acquire_up_to(
        self,
        most: int,
        vendor: str,
        limits: CallLimits,
        now: Clock,
        *,
        reserve: int = 0,
        replaces: datetime | None = None,
    ) -> int | CallDenied:
        """Record calls before they are made, visible to every concurrent caller, as many as the limits allow.

        Args:
            most: most calls to record; all have the same timestamp.
            vendor: name of the account.
            limits: calls that the plan allows.
            now: clock; read while no other caller can acquire a call, so that waiting for other callers does not count.
            reserve: calls of the day that this caller must leave for others.
            replaces: timestamp of a recorded call that was not made in time; the first new call takes its place.

        Returns:
            the number of recorded calls, or when to try again; nothing is recorded then.
        """

    def postpone(self, vendor: str, call: datetime, to: datetime) -> None:
        """Count a recorded call from a later timestamp on, because the request arrived late at the vendor.

        Args:
            vendor: name of the account.
            call: timestamp that `acquire` recorded.
            to: timestamp from which the call counts; nothing happens if the call is not recorded.
        """
        self.postpone_all(vendor, [(call, to)])

    @abstractmethod
    def postpone_all(self, vendor: str, moves: Sequence[tuple[datetime, datetime]]) -> None:
        """Postpone several calls, in order, see `postpone`, with one write: all are postponed or none.

        Args:
            vendor: name of the account.
            moves: timestamp that was recorded, and timestamp from which the call counts, of each call.
        """

    def alone(self, vendor: str) -> bool:
        """Return whether no other process has counted calls between the last two writes of this process.

        The default is False, because a rate limiter need not know it. Calls are then recorded without a lead, see
        `ingest.counted_calls`.
        """
        del vendor
        return False

    @abstractmethod
    def block_until(self, vendor: str, until: datetime) -> None:
        """Deny all calls until a timestamp, because the vendor itself reported that none are left."""

    @abstractmethod
    def recorded(self, vendor: str, since: datetime) -> VendorCalls:
        """Return the block and the calls at or after `since`, with one read; older calls may be among them."""

    def blocked_until(self, vendor: str, at: datetime) -> datetime | None:
        """Return when the block ends, or None if calls are not blocked at `at`."""
        return self.recorded(vendor, at).active_block(at)

    def used_calls(self, vendor: str, since: datetime) -> int:
        """Count the calls at or after `since`."""
        return self.recorded(vendor, since).used_calls(since)
