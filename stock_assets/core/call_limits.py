"""How many calls a vendor allows.

Belongs here: the limits and the quota day. Does not belong here: counting calls (`backends.rate_limiter`), what a plan of
a vendor allows (`sources.plans`).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

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
