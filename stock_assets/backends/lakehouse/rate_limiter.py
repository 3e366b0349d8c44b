"""The call budget as one object per vendor, changed by compare-and-swap.

Belongs here: counting calls so that everything that writes to the bucket agrees. Does not belong here: what a plan
allows (`ingest.plans`), waiting for a call (`ingest.calls`).
"""

import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.backends.rate_limiter import CallDenied, RateLimiter
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.clock import Clock
from stock_assets.core.errors import ServiceUnavailable

_FOLDER = "quota"
_KEPT_FOR = timedelta(days=3)
"""Longer than anything counts back; older calls are forgotten."""
_TRIES = 60
_LONGEST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class _Account:
    """What is noted of one vendor; calls oldest first."""

    calls: tuple[datetime, ...] = ()
    blocked_until: datetime | None = None

    def closed(self, at: datetime) -> datetime | None:
        return self.blocked_until if self.blocked_until is not None and self.blocked_until > at else None

    def refusal(self, limits: CallLimits, at: datetime, reserve: int) -> CallDenied | None:
        closed = self.closed(at)
        if closed is not None:
            return CallDenied(closed, quota_used_up=True)
        today = sum(call >= limits.day_start(at) for call in self.calls)
        if limits.per_day is not None and today >= limits.per_day - reserve:
            return CallDenied(limits.next_reset(at), quota_used_up=True)
        free_at = max((_token_back(self.calls, *rate, at) for rate in limits.rates), default=at)
        return CallDenied(free_at, quota_used_up=False) if free_at > at else None


class S3RateLimiter(RateLimiter):
    """Whoever changes the object first wins; the others look again."""

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def acquire(self, vendor: str, limits: CallLimits, now: Clock, *, reserve: int = 0) -> CallDenied | None:
        """Count and write, if nobody has written in between."""
        refused: CallDenied | None = None

        def take(account: _Account) -> _Account:
            nonlocal refused
            at = now()
            refused = account.refusal(limits, at, reserve)
            if refused is not None:
                return account
            recent = [call for call in account.calls if call >= at - _KEPT_FOR]
            return replace(account, calls=tuple(sorted([*recent, at])))

        self._change(vendor, take)
        return refused

    def close(self, vendor: str, until: datetime) -> None:
        """Write the moment."""
        self._change(vendor, lambda account: replace(account, blocked_until=until))

    def blocked_until(self, vendor: str, at: datetime) -> datetime | None:
        """Read the moment."""
        return self._read(vendor)[0].closed(at)

    def spent(self, vendor: str, since: datetime) -> int:
        """Count the calls of the last three days that came after a moment."""
        return sum(call >= since for call in self._read(vendor)[0].calls)

    def _change(self, vendor: str, change: Callable[[_Account], _Account]) -> None:
        for attempt in range(_TRIES):
            before, etag = self._read(vendor)
            after = change(before)
            if after == before or self._objects.put_if(_key(vendor), _write(after), etag=etag):
                return
            time.sleep(random.uniform(0, min(0.02 * 2**attempt, _LONGEST_PAUSE_SECONDS)))  # noqa: S311 (jitter)
        raise ServiceUnavailable(f"{self._objects.uri(_key(vendor))}: others changed it first, {_TRIES} times in a row")

    def _read(self, vendor: str) -> tuple[_Account, str | None]:
        try:
            body, etag = self._objects.get_version(_key(vendor))
        except KeyError:
            return _Account(), None
        stored = json.loads(body)
        closed = stored["blocked_until"]
        calls = tuple(map(datetime.fromisoformat, stored["calls"]))
        return _Account(calls, datetime.fromisoformat(closed) if closed else None), etag


def _token_back(calls: Sequence[datetime], allowed: int, window: timedelta, at: datetime) -> datetime:
    """Give the moment from which one of the window's tokens is there: the n-th newest call plus the window."""
    if len(calls) < allowed:
        return at
    # A clock that was set back makes calls lie in the future; no token is away for longer than its window.
    return min(calls[-allowed], at) + window


def _write(account: _Account) -> bytes:
    closed = account.blocked_until.astimezone(UTC).isoformat() if account.blocked_until else None
    calls = [call.astimezone(UTC).isoformat() for call in account.calls]
    return json.dumps({"calls": calls, "blocked_until": closed}).encode()


def _key(vendor: str) -> str:
    """Name the object by a digest: a vendor's name may hold anything."""
    return f"{_FOLDER}/{hashlib.sha256(vendor.encode()).hexdigest()[:16]}.json"
