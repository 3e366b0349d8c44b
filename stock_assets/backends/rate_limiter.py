"""How many calls each vendor takes, and who counts them.

Belongs here: the limits, and the interface of the count. Does not belong here: where a backend keeps it, or how a
call is made.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from stock_assets.core.clock import Clock

_MARGIN = 1.05
"""How much longer our windows are than the vendor's.

The vendor counts requests as they arrive, in sliding windows. Latency varies, so requests sent exactly 1 s apart arrive
0.974 to 0.998 s apart, and a free key had a third of them refused.
"""
SECOND = timedelta(seconds=1) * _MARGIN
"""Length of the window for the calls per second."""
MINUTE = timedelta(minutes=1) * _MARGIN
"""Length of the window for the calls per minute."""


@dataclass(frozen=True)
class CallLimits:
    """How many calls a vendor takes; None means any number.

    Attributes:
        per_second: calls in any `SECOND`.
        per_minute: calls in any `MINUTE`.
        per_day: calls in one quota day.
        day_zone: IANA name of the time zone whose midnight begins a quota day.
    """

    per_second: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    day_zone: str = "UTC"

    @property
    def unlimited(self) -> bool:
        """Whether nothing has to be counted."""
        return self.per_second is None and self.per_minute is None and self.per_day is None

    @property
    def rates(self) -> tuple[tuple[int, timedelta], ...]:
        """Calls and the window they may be made in, for each limit of the pace."""
        windows = ((self.per_second, SECOND), (self.per_minute, MINUTE))
        return tuple((calls, window) for calls, window in windows if calls is not None)

    def quota_day(self, at: datetime) -> date:
        """Give the quota day of a moment."""
        return at.astimezone(ZoneInfo(self.day_zone)).date()

    def day_start(self, at: datetime) -> datetime:
        """Give the moment, in UTC, at which the quota day of `at` began."""
        return self._midnight(self.quota_day(at))

    def next_reset(self, at: datetime) -> datetime:
        """Give the moment, in UTC, at which the next quota day begins."""
        return self._midnight(self.quota_day(at) + timedelta(days=1))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.day_zone)).astimezone(UTC)


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
    def acquire(self, vendor: str, limits: CallLimits, now: Clock, *, keep: int = 0) -> CallDenied | None:
        """Take one call before it is made; whoever asks at the same time sees it taken.

        Args:
            vendor: name of the account.
            limits: what the plan allows.
            now: read while no other caller can take a call, so that waiting for them is not counted as time.
            keep: calls of the day to leave untaken.

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
