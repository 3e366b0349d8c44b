"""The number of calls that a vendor allows, and whether a call may be made now.

Belongs here: the limits, the quota day, and the arithmetic of rates and quotas that every backend shares. Does not
belong here: storing calls (`rate_limiter` of the backends), the limits of a vendor's plans (`sources.plans`).
"""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MARGIN = 1.05
"""Factor by which our windows are longer than the vendor's.

The vendor counts requests when they arrive, in sliding windows. Latency varies, so that requests sent exactly 1 s apart
arrive 0.974 to 0.998 s apart, and the vendor rejected a third of a free key's requests. A request that arrives later
than this margin covers is counted from its arrival on, see `ArrivalEstimate`.
"""
SECOND = timedelta(seconds=1) * _MARGIN
"""Length of the window in which calls per second are counted."""
MINUTE = timedelta(minutes=1) * _MARGIN
"""Length of the window in which calls per minute are counted."""
COVERED_DELAY = timedelta(milliseconds=25)
"""Delays that the margin covers; half of the margin of a second, the other half is for the next request."""
_DELAY_SHARE = 0.03
"""Share of a window by which a call is postponed on average, at most. With the margin it is less than 10%."""
_FIRST_DELAYS = timedelta(seconds=0.25)
"""Delay of each request in flight that may be added before any call has earned its share."""
_LONGEST_DELAY = timedelta(seconds=1)
"""Longest delay of a call, and longest sum of delays that earlier calls have earned, for each request in flight."""
_KNOWN_DELAY = timedelta(seconds=0.3)
"""Delay of a request that its response has to show before the token of its call returns."""
LONGEST_LEAD = timedelta(seconds=0.1)
"""Longest time between the recording of a call and its request."""
_LONGEST_BLOCK = timedelta(days=1)
"""A block lasts an hour at most; a longer one is from before the clock was set back."""
_NEWEST_WRITES = 20
"""Writes that show how long a write takes."""


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
    def at_once(self) -> int:
        """Requests that may be in flight at the same time: as many as the rates allow in a second, at least one.

        So a request is sent after the response of one of the calls in the window before it, as when they are sent in
        turn: a vendor that responds slowly gets fewer requests. Without a rate, requests are sent in turn.
        """
        seconds = (allowed / window.total_seconds() for allowed, window in self.rates)
        return max(1, math.ceil(min(seconds, default=1)))

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

    def without(self, call: datetime | None) -> "VendorCalls":
        """Return the calls without one that is recorded at a timestamp, if there is one."""
        if call is None or call not in self.calls:
            return self
        at = self.calls.index(call)
        return replace(self, calls=(*self.calls[:at], *self.calls[at + 1 :]))

    def active_block(self, at: datetime) -> datetime | None:
        """Return when the block ends, or None if no block is active at `at`."""
        until = self.blocked_until
        return until if until is not None and timedelta() < until - at <= _LONGEST_BLOCK else None

    def used_calls(self, since: datetime, before: datetime | None = None) -> int:
        """Count the calls at or after `since`, and before a timestamp if one is given."""
        end = len(self.calls) if before is None else bisect_left(self.calls, before)
        return end - bisect_left(self.calls, since)

    def used_today(self, limits: CallLimits, at: datetime) -> int:
        """Count the calls of the quota day of `at`, also those after `at`: the clock may have been set back."""
        return self.used_calls(limits.day_start(at), limits.next_reset(at))

    def decide(self, limits: CallLimits, at: datetime, *, reserve: int = 0) -> CallDenied | None:
        """Return None if a call may be made at `at`, otherwise when to try again."""
        block = self.active_block(at)
        if block is not None:
            return CallDenied(block, quota_used_up=True)
        if limits.per_day is not None and self.used_today(limits, at) >= limits.per_day - reserve:
            return CallDenied(limits.next_reset(at), quota_used_up=True)
        retry_at = max((self._token_returns_at(*rate, at) for rate in limits.rates), default=at)
        return CallDenied(retry_at, quota_used_up=False) if retry_at > at else None

    def grant(
        self, most: int, limits: CallLimits, at: datetime, *, reserve: int = 0
    ) -> tuple["VendorCalls", CallDenied | None]:
        """Return the calls with as many more at `at` as the limits allow; if that is none, also when to try again."""
        calls = self
        for number in range(most):
            denied = calls.decide(limits, at, reserve=reserve)
            if denied is not None:
                return calls, None if number else denied
            calls = replace(calls, calls=tuple(sorted([*calls.calls, at])))
        return calls, None

    def _token_returns_at(self, allowed: int, window: timedelta, at: datetime) -> datetime:
        """Return when one of the window's tokens is available: the n-th newest call plus the window.

        A call may lie a lead in the future. One that lies more than a window in the future does not count: it is from
        before the clock was set back. So no token is unavailable for longer than two windows.
        """
        newest = bisect_right(self.calls, at + window)
        return at if newest < allowed else self.calls[newest - allowed] + window


class ArrivalEstimate:
    """Estimate how late requests arrive at the vendor; one object for the requests of one run.

    A request has arrived when its response is here, at the latest. The shortest time from sending a request to the end
    of its response is the usual way there and back. A request that took longer by some time may have arrived later by
    that time: a busy network, a busy vendor. The first request of a run shows no usual time yet. The
    sum of the other delays is limited, so that a slow vendor does not slow the run down.
    """

    def __init__(self, limits: CallLimits) -> None:
        self._window = min((window for _, window in limits.rates), default=timedelta())
        # A postponed call holds one of the tokens of a window, so the time that it costs shrinks with their number.
        self._first = self._available = _FIRST_DELAYS * limits.at_once
        self._most = _LONGEST_DELAY * limits.at_once
        self._left_out = timedelta()
        self._shortest: timedelta | None = None

    @property
    def on_time(self) -> bool:
        """Return whether the calls have earned all delays of the requests that have ended, also what was left out.

        Otherwise some requests may have arrived later than their calls count.
        """
        return self._available >= self._first and not self._left_out

    def unknown(self) -> timedelta:
        """Return by how much to postpone a call when its request is sent, until its response arrives.

        Without this, the token of a request whose response takes almost a window returns, to any process, before its
        response shows whether it arrived late. A process takes a token up to `LONGEST_LEAD` before it returns.
        """
        usual = self._window if self._shortest is None else self._shortest
        return max(usual + _KNOWN_DELAY + LONGEST_LEAD - self._window, timedelta())

    def overdue(self, waited: timedelta) -> timedelta:
        """Return by how much to postpone a call whose response has not come some time after it was sent."""
        return timedelta() if self._shortest is None else min(waited - self._shortest, self._available, _LONGEST_DELAY)

    def delay(self, took: timedelta) -> timedelta:
        """Return by how much to postpone a call whose response came some time after it was sent; zero for none."""
        if self._shortest is None:
            self._shortest = took
            return min(took, _FIRST_DELAYS) if took > COVERED_DELAY else timedelta()
        excess = took - self._shortest
        self._shortest = min(self._shortest, took)
        share = self._window * _DELAY_SHARE
        self._available = min(self._available + share, self._most)
        self._left_out = max(self._left_out - share, timedelta())
        if excess <= COVERED_DELAY:
            return timedelta()
        delay = min(excess, self._available, _LONGEST_DELAY)
        self._available -= delay
        self._left_out = min(self._left_out + excess - delay, self._most)
        return delay


class WriteTimes:
    """Estimate how long it takes to record a call.

    Attributes:
        usual: the longest time of the newest writes, within a limit; zero before the first one.
    """

    def __init__(self) -> None:
        self._newest = deque[timedelta](maxlen=_NEWEST_WRITES)
        self.usual = timedelta()

    def add(self, took: timedelta) -> None:
        """Add the time of the newest write."""
        self._newest.append(took)
        self.usual = max(timedelta(), min(max(self._newest), LONGEST_LEAD))
