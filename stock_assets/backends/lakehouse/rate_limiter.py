"""Store the calls to each vendor in one object per vendor, changed by compare-and-swap.

Belongs here: the object, and what happens if several processes change it at once. Does not belong here: the quota
arithmetic (`core.call_limits`), what a plan allows (`sources.plans`), waiting for a call (`ingest.requester`).

A process remembers what it has written or read last, and changes the object without reading it again: S3 rejects the
write if another process has changed the object meanwhile. After that the process reads the object before each change,
until nobody else has changed it between two of its own changes. What changes nothing, such as a denied call, is always
decided with an object that was just read, since no write would show that another process has changed it.
"""

import hashlib
import json
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from stock_assets.backends.interface import RateLimiter
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.core.call_limits import CallDenied, CallLimits, VendorCalls
from stock_assets.core.clock import Clock
from stock_assets.core.errors import ServiceUnavailable
from stock_assets.core.retry import retrying

_FOLDER = "quota"
_KEPT_FOR = timedelta(days=3)
"""Longer than any period that a limit covers; older calls are dropped."""
_ATTEMPTS = 60
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5


class S3RateLimiter(RateLimiter):
    """The first process that changes the object succeeds; the others read the object again."""

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects
        self._known: dict[str, _Known] = {}

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
        """Count and write, if no other process has written in between."""
        acquired: int | CallDenied = 0

        def add_calls(recorded: VendorCalls) -> VendorCalls:
            nonlocal acquired
            at = now()
            others = recorded.without(replaces)
            after, denied = others.grant(most, limits, at, reserve=reserve)
            acquired = denied or len(after.calls) - len(others.calls)
            if denied is not None:
                return recorded
            return replace(after, calls=after.calls[bisect_left(after.calls, at - _KEPT_FOR) :])

        self._change(vendor, add_calls)
        return acquired

    def postpone_all(self, vendor: str, moves: Sequence[tuple[datetime, datetime]]) -> None:
        """Change the timestamps of the calls in the object, with one write.

        If S3 has written the object and all its responses were errors, the caller's next attempt moves other calls with
        the same timestamps, if there are any. The number of calls stays right; one of them counts from a time that
        differs by the delay of a request.
        """

        def change(recorded: VendorCalls) -> VendorCalls:
            for call, to in moves:
                others = recorded.without(call)
                if others is not recorded:
                    recorded = replace(others, calls=tuple(sorted([*others.calls, to])))
            return recorded

        self._change(vendor, change)

    def alone(self, vendor: str) -> bool:
        """Return whether no other process has changed the object between the last two changes of this process."""
        known = self._known.get(vendor)
        return known is None or known.alone

    def block_until(self, vendor: str, until: datetime) -> None:
        """Write the end of the block into the object."""
        self._change(vendor, lambda recorded: replace(recorded, blocked_until=until))

    def recorded(self, vendor: str, since: datetime) -> VendorCalls:
        """Read the object, which has the calls of the last three days."""
        del since
        return self._read(vendor)[0]

    def _change(self, vendor: str, change: Callable[[VendorCalls], VendorCalls]) -> None:
        def attempt() -> None:
            known = self._known.pop(vendor, None)
            if known and known.alone and (after := change(known.recorded)) != known.recorded:
                etag: str | None = known.etag
            else:
                before, etag = self._read(vendor)
                after = change(before)
                if after == before:
                    if etag is not None:
                        self._known[vendor] = _Known(before, etag, alone=not known or known.is_version(etag))
                    return
            written = self._objects.put_version(_key(vendor), _to_json(after), etag=etag)
            if written is None:
                self._known[vendor] = _Known(VendorCalls(), None, alone=False)
                raise _ChangedMeanwhile
            self._known[vendor] = _Known(after, written, alone=not known or known.is_version(etag))

        policy = retrying(
            attempts=_ATTEMPTS,
            longest_seconds=_LONGEST_PAUSE_SECONDS,
            on=_ChangedMeanwhile,
            first_seconds=_FIRST_PAUSE_SECONDS,
            sleep=time.sleep,
        )
        try:
            policy(attempt)
        except _ChangedMeanwhile as error:
            raise ServiceUnavailable(
                f"The calls to {vendor} could not be counted: other processes changed "
                f"{self._objects.uri(_key(vendor))} first, {_ATTEMPTS} times in a row. "
                "Run fewer processes at once, or try again later"
            ) from error

    def _read(self, vendor: str) -> tuple[VendorCalls, str | None]:
        try:
            body, etag = self._objects.get_version(_key(vendor))
        except KeyError:
            return VendorCalls(), None
        stored = json.loads(body)
        block = stored["blocked_until"]
        calls = tuple(map(datetime.fromisoformat, stored["calls"]))
        return VendorCalls(calls, datetime.fromisoformat(block) if block else None), etag


class _Known(NamedTuple):
    """The calls to a vendor as this process has written or read them last.

    Attributes:
        recorded: the calls.
        etag: the ETag of the object.
        alone: whether no other process has changed the object since the time before.
    """

    recorded: VendorCalls
    etag: str | None  # None after a write that S3 has rejected: nothing is known then.
    alone: bool

    def is_version(self, etag: str | None) -> bool:
        """Return whether the object that has this ETag now is the one that this process knows."""
        return self.etag is not None and self.etag == etag


class _ChangedMeanwhile(Exception):
    """Another process has changed the object since it was read."""


def _to_json(recorded: VendorCalls) -> bytes:
    block = recorded.blocked_until.astimezone(UTC).isoformat() if recorded.blocked_until else None
    # Timestamps need no escaping; `json.dumps` takes three times as long.
    calls = ", ".join(map(_text, recorded.calls))
    return f'{{"calls": [{calls}], "blocked_until": {json.dumps(block)}}}'.encode()


@lru_cache(maxsize=100_000)
def _text(call: datetime) -> str:
    """Format a call, once in a process: an object of three days may contain tens of thousands."""
    return f'"{call.astimezone(UTC).isoformat()}"'


def _key(vendor: str) -> str:
    """Return the key of the object, a digest: a vendor's name may contain any character."""
    return f"{_FOLDER}/{hashlib.sha256(vendor.encode()).hexdigest()[:16]}.json"
