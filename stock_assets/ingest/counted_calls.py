"""Count the calls of one run: acquire each one before its request, and postpone it if the request arrives late.

Belongs here: what the rate limiter learns about a request, from acquiring its call until its response has arrived. Does
not belong here: storing calls (`backends.interface.rate_limiter`), the arithmetic (`core.call_limits`), which requests
are sent (`requester`).

Several requests can be in flight, in threads of this process. A request that takes longer than usual may have arrived
late, so its call is postponed before another one is acquired: otherwise its token could return before its response
shows when it arrived. Calls that threads postpone while the rate limiter is in use are postponed together, with one
write on S3, where a write may take longer than `COVERED_DELAY`.

Recording a call takes time, so a call is recorded some time, the lead, before it counts, and its request waits until
then. Otherwise each request on S3 is sent late, and its call has to be postponed by a second write.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from stock_assets.backends.interface import RateLimiter
from stock_assets.core.call_limits import COVERED_DELAY, LONGEST_LEAD, MINUTE, ArrivalEstimate, CallDenied, WriteTimes
from stock_assets.core.clock import Clock
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.send_observer import SendObserver, observed

_SAME_DENIAL = timedelta(minutes=2)
"""Longest time for which a denial is repeated without the rate limiter; a clock that was set back shows longer ones."""

Sleep = Callable[[float], None]
"""Wait for some seconds."""


class NotSentError(Exception):
    """A request was not sent, because no request may be sent any more. Its call stays counted.

    Attributes:
        denied: why the rate limiter denies the call; None if the run has stopped for another reason.
    """

    def __init__(self, denied: CallDenied | None = None) -> None:
        super().__init__("no request may be sent any more")
        self.denied = denied


@dataclass
class Call:
    """One acquired call.

    Attributes:
        acquired: timestamp that the rate limiter recorded.
        counted: timestamp from which the rate limiter counts the call now.
        noted: timestamp from which it will count the call: `counted`, or what is noted and not yet written.
        sent: when the request had been sent, or None.
    """

    acquired: datetime
    counted: datetime
    noted: datetime
    sent: datetime | None = None

    @classmethod
    def at(cls, acquired: datetime) -> "Call":
        """Return a call that counts from the timestamp that the rate limiter recorded."""
        return cls(acquired, counted=acquired, noted=acquired)


class CountedCalls:
    """The calls of one run to one vendor; several threads use it.

    Args:
        limiter: counts the calls of all runs.
        source: the vendor and the calls that the plan allows.
        reserve: calls of the day that this run leaves for others.
        may_send: returns whether requests may be sent; called right before each one.
        now: the clock.
        sleep: waits for a call in place of one that was not made in time.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        source: PriceSource,
        *,
        reserve: int,
        may_send: Callable[[], bool],
        now: Clock,
        sleep: Sleep,
    ) -> None:
        self._limiter = limiter
        self._vendor = source.vendor
        self._limits = limits = source.terms.limits
        self._reserve = reserve
        self._may_send = may_send
        self._now = now
        self._sleep = sleep
        self._arrivals = ArrivalEstimate(limits)
        self._writes = WriteTimes()
        self._observed = False
        self._shared_until = now()
        # Responses arrive while a run waits for a call; the rate limiter need not be asked after each of them.
        self._denied: CallDenied | None = None
        self._shortest_window = min((window for _, window in limits.rates), default=None)
        self._to_postpone: deque[tuple[Call, datetime]] = deque()
        self._times = threading.Lock()
        """Guards `sent` and `noted` of the calls and the `ArrivalEstimate`; not held while the rate limiter writes.

        A thread that holds `_lock` may take it, never the other way round.
        """
        # Threads use the rate limiter in turn: a store on which they compete makes each of them wait longer.
        self._lock = threading.RLock()

    def acquire(self, most: int = 1, in_flight: Iterable[Call] = ()) -> list[Call] | CallDenied:
        """Return new calls, at least one, or when to try again; before that, postpone the overdue calls in flight."""
        with self._lock:
            if self._denied and timedelta() < self._denied.retry_at - self._now() <= _SAME_DENIAL:
                return self._denied
            with self._times:
                for call in in_flight:
                    if call.sent is not None:
                        self._note_late(call, call.sent + self._arrivals.overdue(self._now() - call.sent))
            self._postpone_noted()
            acquired = self._acquire(most)
            self._denied = acquired if isinstance(acquired, CallDenied) else None
        return acquired

    @contextmanager
    def sending(self, call: Call) -> Iterator[None]:
        """Count the call of the request that is sent inside the block from its arrival at the vendor on.

        Raises:
            NotSentError: no request may be sent any more.
        """

        def note_sent() -> None:
            with self._times:
                call.sent = max(self._now(), call.counted)
                late = self._note_late(call, call.sent + self._arrivals.unknown())
            if late:
                self._postpone_noted()

        responded = False
        try:
            with observed(SendObserver(before=partial(self._prepare, call), after=note_sent)):
                yield
            responded = True
        finally:
            # A request that was never sent says nothing about the time that requests take.
            if responded or call.sent is not None:
                ended, sent = self._now(), call.sent or call.counted
                with self._times:
                    call.sent = None
                    arrived = sent + self._arrivals.delay(max(ended - sent, timedelta()))
                    late = abs(arrived - call.noted) > COVERED_DELAY
                    if late:
                        self._note(call, arrived)
                if late:
                    self._postpone_noted()

    def _prepare(self, call: Call) -> None:
        """Wait for the time of a call whose request is sent next; make sure that it counts from then on."""
        self._observed = True
        self._wait_for(call)
        if self._may_be_replaced(call):
            replaced = self._replace(call.counted)
            with self._times:
                call.counted = call.noted = replaced
            self._wait_for(call)
        if not self._may_send():
            raise NotSentError
        lead = self._estimate_lead()
        with self._times:
            now = self._now()
            late = now - call.noted > COVERED_DELAY
            if late:
                self._note(call, now + lead)
            # What is noted may not be written: the write may have failed.
            unwritten = late or call.noted != call.counted
        if unwritten:
            self._postpone_noted()
            self._wait_for(call)

    def _estimate_lead(self) -> timedelta:
        """Return the time from recording a call until its request may be sent: as long as a write usually takes.

        It is zero while requests arrive later than their calls count, and for some time after another process has
        counted a call. Both mean that an arrival may be unknown when a token is taken, so taking it earlier would let
        the vendor refuse more requests. The write that meets another process's call still has the lead that was
        estimated before: once each time that another process begins.

        It is also zero until a connection has reported a request: without the report, a request does not wait.
        """
        if not (self._observed and self._limits.rates) or self._now() < self._shared_until:
            return timedelta()
        with self._times:
            return self._writes.usual if self._arrivals.on_time else timedelta()

    def _note_others(self) -> None:
        """Note whether another process has counted calls; the rate limiter knows it of its last use only."""
        if not self._limiter.alone(self._vendor):
            self._shared_until = self._now() + MINUTE

    def _may_be_replaced(self, call: Call) -> bool:
        """Return whether another call may have taken the token of a call that was not sent yet.

        Another process may take the token up to `LONGEST_LEAD` early, and postponing this call may take `LONGEST_LEAD`
        too.
        """
        window = self._shortest_window
        return window is not None and self._now() - call.counted >= window - 2 * LONGEST_LEAD

    def _wait_for(self, call: Call) -> None:
        """Wait until the time from which a call counts; no longer if the clock was set back."""
        wait = min(call.counted - self._now(), LONGEST_LEAD)
        if wait > timedelta():
            self._sleep(wait.total_seconds())

    def _acquire(self, most: int, replaces: datetime | None = None) -> list[Call] | CallDenied:
        at = self._now()

        def now() -> datetime:
            nonlocal at
            at = self._now()
            return at + lead

        if self._limits.unlimited:
            return [Call.at(at)]
        with self._lock:
            lead = self._estimate_lead()
            acquired = self._limiter.acquire_up_to(
                most, self._vendor, self._limits, now, reserve=self._reserve, replaces=replaces
            )
            self._note_others()
            if isinstance(acquired, CallDenied):
                return acquired if acquired.quota_used_up else CallDenied(acquired.retry_at - lead, quota_used_up=False)
            self._writes.add(self._now() - at)
        return [Call.at(at + lead) for _ in range(acquired)]

    def _replace(self, counted: datetime) -> datetime:
        while self._may_send():
            acquired = self._acquire(1, replaces=counted)
            if not isinstance(acquired, CallDenied):
                return acquired[0].counted
            if acquired.quota_used_up:
                raise NotSentError(acquired)
            self._sleep(max(0.0, (acquired.retry_at - self._now()).total_seconds()))
        raise NotSentError

    def _note_late(self, call: Call, to: datetime) -> bool:
        """Note that a call counts from a later timestamp on; return False if the margin covers the delay."""
        late = to - call.noted > COVERED_DELAY
        if late:
            self._note(call, to)
        return late

    def _note(self, call: Call, to: datetime) -> None:
        call.noted = to
        self._to_postpone.append((call, to))

    def _postpone_noted(self) -> None:
        """Postpone the noted calls, also those of other threads; all that were noted before are written at the end."""
        with self._lock:
            noted, moves, counted = [], [], dict[int, datetime]()
            try:
                while self._to_postpone:
                    noted.append(self._to_postpone.popleft())
                for call, to in noted:
                    before = counted.get(id(call), call.counted)
                    if self._limits.rates and to != before:
                        moves.append((before, to))
                        counted[id(call)] = to
                if not moves:
                    return
                if any(to < before for before, to in moves):
                    self._denied = None
                self._limiter.postpone_all(self._vendor, moves)
            except BaseException:
                # The next use of the rate limiter tries again.
                self._to_postpone.extendleft(reversed(noted))
                raise
            self._note_others()
            for call, _ in noted:
                call.counted = counted.get(id(call), call.counted)
