"""The number of calls that a vendor allows.

Belongs here: the limits and the quota day. Does not belong here: counting calls (`backends.rate_limiter`), the limits
of a vendor's plans (`sources.plans`).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MARGIN = 1.05
"""Factor by which our windows are longer than the vendor's.

The vendor counts requests when they arrive, in sliding windows. Latency varies, so that requests sent exactly 1 s apart
arrive 0.974 to 0.998 s apart, and the vendor rejected a third of a free key's requests.
"""
SECOND = timedelta(seconds=1) * _MARGIN
"""Length of the window in which calls per second are counted."""
MINUTE = timedelta(minutes=1) * _MARGIN
"""Length of the window in which calls per minute are counted."""


@dataclass(frozen=True)
class CallLimits:
    """Numbers of calls that a vendor allows; None means no limit.

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
        """Return whether there is no limit at all."""
        return self.per_second is None and self.per_minute is None and self.per_day is None

    @property
    def rates(self) -> tuple[tuple[int, timedelta], ...]:
        """Limits per second and per minute: number of calls and length of the window."""
        windows = ((self.per_second, SECOND), (self.per_minute, MINUTE))
        return tuple((calls, window) for calls, window in windows if calls is not None)

    def quota_day(self, at: datetime) -> date:
        """Return the quota day of a timestamp."""
        return at.astimezone(ZoneInfo(self.day_zone)).date()

    def day_start(self, at: datetime) -> datetime:
        """Return the timestamp, in UTC, at which the quota day of `at` began."""
        return self._midnight(self.quota_day(at))

    def next_reset(self, at: datetime) -> datetime:
        """Return the timestamp, in UTC, at which the next quota day begins."""
        return self._midnight(self.quota_day(at) + timedelta(days=1))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.day_zone)).astimezone(UTC)
