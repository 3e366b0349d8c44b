"""Send requests to the vendor: wait for a call, send, store the response before reading it, record the outcome.

Belongs here: the order of one request's steps, the queue of requests, and retrying transient failures. Does not belong
here: which symbols are requested (`price_requests`, `split_requests`), what a failure means for other requests
(`vendor_health`), HTTP (`sources.transport`), counting calls (`counted_calls`).

Requests are sent in the order of the symbols. As many can be in flight as the plan allows per second, so that the plan
limits the speed and not the latency; `vendor_health` decides when they are sent one at a time. A symbol whose request
failed for a transient reason goes to the end of the queue: every symbol gets its first call before any symbol gets a
second one. A call is acquired before each request, also before a retry, right before it is sent; a request that arrives
late at the vendor is counted from its arrival on.

One slow symbol does not delay the others: its repetition comes after all first requests, a response has
`sources.transport.WHOLE_RESPONSE_SECONDS` at most, and after `vendor_health.SLOW_FAILURES_LAST` of failures the run
sends no more requests. The symbols that were not requested come first in the next run.
"""

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.calendar import sessions_closing
from stock_assets.core.call_limits import CallDenied
from stock_assets.core.checksums import content_hash
from stock_assets.core.clock import Clock
from stock_assets.core.errors import DailyQuotaExhausted, Outcome, SourceError
from stock_assets.core.text import plural
from stock_assets.ingest.counted_calls import Call, CountedCalls, NotSentError, Sleep
from stock_assets.ingest.response_keys import response_key
from stock_assets.ingest.sending_threads import SendingThreads
from stock_assets.ingest.vendor_health import VendorHealth
from stock_assets.sources.interface import PriceSource

_NEXT = timedelta(microseconds=1)
_log = logging.getLogger(__name__)
DAILY_QUOTA_BLOCK = timedelta(hours=1)
"""Time without requests after the vendor reports that the day's calls are used.

It is shorter than a day, since the vendor's day may start at another time than we assume.
"""


@dataclass(frozen=True)
class Request:
    """One request for one symbol.

    Attributes:
        symbol: ticker.
        kind: prices or splits.
        send: sends the request and returns the body of the response.
        read: reads a stored body, from (body, key of the stored object, time of arrival).
        known: the current response, stored earlier; an equal body is not stored again.
        after: time of the symbol's newest request. If the clock was set back since, the response is recorded just after
            it, since the newest response of a bar wins.
    """

    symbol: str
    kind: FetchKind
    send: Callable[[], bytes]
    read: Callable[[bytes, str, datetime], Fetch]
    known: Fetch | None = None
    after: datetime | None = None


@dataclass(frozen=True)
class RequestResult:
    """The result for one symbol: the ledger entry of its last request, or why none was made, and the calls used."""

    fetch: Fetch
    calls: int


@dataclass(frozen=True)
class _Attempt:
    """A request that waits or is in flight.

    Attributes:
        request: the request.
        failures: transient failures of this request so far.
        failures_before: failures of the whole run when this request was sent, see `VendorHealth`.
    """

    request: Request
    failures: int = 0
    failures_before: int = 0


@dataclass(frozen=True)
class _Ended:
    """A request that has ended.

    Attributes:
        at: time of the end; a response has arrived then.
        body: body of the response, of an error response too.
        response_key: key of the stored body; empty if there is none.
        error: the failure, if any.
        not_sent: why the request was not sent, if it was not.
        recorded_at: time that the ledger and the key of the response state; later than `at` if the clock was set back.
    """

    at: datetime
    body: bytes = b""
    response_key: str = ""
    error: SourceError | None = None
    not_sent: NotSentError | None = None
    recorded_at: datetime | None = None


class Requester:
    """One run's requests to one vendor."""

    def __init__(
        self,
        backend: Backend,
        source: PriceSource,
        *,
        now: Clock,
        sleep: Sleep,
        reserve: int = 0,
        until: datetime | None = None,
    ) -> None:
        self._backend = backend
        self._source = source
        self._limits = source.terms.limits
        self._now = now
        self._sleep = sleep
        self._reserve = reserve
        self._until = until
        self._health = VendorHealth(source.terms, now)
        self._calls = CountedCalls(
            backend.rate_limiter,
            source,
            reserve=reserve,
            may_send=self._health.may_send,
            now=now,
            sleep=sleep,
        )
        self._warned_about_clock = False
        self._queue: deque[_Attempt] = deque()
        self._last: dict[str, Fetch] = {}

    def request_all(self, requests: Iterable[Request]) -> dict[str, RequestResult]:
        """Send the requests in the given order; return the result of each by symbol.

        After `until` no request begins; symbols that were not requested by then have no result.
        """
        self._queue = deque(_Attempt(request) for request in requests)
        self._last = {}
        calls: Counter[str] = Counter()
        in_flight: dict[Future[_Ended], tuple[_Attempt, Call]] = {}
        with SendingThreads[_Ended](self._limits.at_once) as threads:
            try:
                while self._queue or in_flight:
                    acquired = self._acquire_calls([call for _, call in in_flight.values()])
                    if isinstance(acquired, list):
                        for call in acquired:
                            attempt = replace(self._queue.popleft(), failures_before=self._health.failures)
                            calls[attempt.request.symbol] += 1
                            in_flight[threads.submit(partial(self._send, attempt.request, call))] = attempt, call
                    elif in_flight:
                        for attempt, call, ended, error in self._record(in_flight, threads.wait(in_flight, acquired)):
                            self._handle(attempt, call, ended, error, others_in_flight=bool(in_flight))
                    elif acquired is not None:
                        self._sleep(acquired)
            finally:
                # After an interruption too, every stored response gets its entry in the ledger.
                self._record(in_flight, [future for future in in_flight if future.exception() is None])
        return {symbol: RequestResult(fetch, calls[symbol]) for symbol, fetch in self._last.items()}

    def _acquire_calls(self, in_flight: Sequence[Call]) -> list[Call] | float | None:
        """Return calls for the next requests, or the seconds until one may be available, or None.

        None means that a response must arrive first, or that no request waits any more.
        """
        if self._until is not None and self._now() >= self._until:
            self._queue.clear()
        if self._health.stopped:
            self._record_not_requested(*self._health.stopped)
        at_once = 1 if self._health.alone else self._limits.at_once
        most = min(len(self._queue), at_once - len(in_flight))
        if most <= 0:
            return None
        if pause := self._health.seconds_of_pause():
            return pause
        acquired = self._calls.acquire(most, in_flight)
        if not isinstance(acquired, CallDenied):
            return acquired
        if acquired.quota_used_up:
            self._health.stop(Outcome.DAILY_QUOTA, self._format_quota_used(acquired), calls_used_up=True)
            return None
        return max(0.0, (acquired.retry_at - self._now()).total_seconds())

    def _format_quota_used(self, denied: CallDenied) -> str:
        if denied.retry_at < self._limits.next_reset(self._now()):
            why = "the vendor reported that no calls are left"
        else:
            reserved = " or reserved for prices" if self._reserve else ""
            why = f"today's {plural(self._limits.per_day or 0, 'call')} are used{reserved}"
        return f"not requested: {why}; calls are available again at {denied.retry_at:%Y-%m-%d %H:%M} UTC"

    def _send(self, request: Request, call: Call) -> _Ended:
        """Send one request and store the response; threads do this."""
        try:
            with self._calls.sending(call):
                body = request.send()
        except NotSentError as error:
            return _Ended(self._now(), not_sent=error)
        except SourceError as error:
            arrived = self._now()
            key = _store(self._backend, request, error.body, arrived) if error.body else ""
            return _Ended(arrived, error.body, key, error)
        arrived, known = self._now(), request.known
        recorded_at, clock = _times(arrived, request.after)
        if clock is not None and request.after is not None:
            self._warn_about_clock(clock, request.after)
        if known is not None and known.content_hash == content_hash(body):
            key = known.response_key
        else:
            key = _store(self._backend, request, body, recorded_at, clock)
        return _Ended(arrived, body, key, recorded_at=recorded_at)

    def _warn_about_clock(self, clock: datetime, newest: datetime) -> None:
        """Log once in a run that the clock was set back across a market close."""
        if not self._warned_about_clock:
            self._warned_about_clock = True
            _log.warning(
                "The clock of this machine shows %s, but the ledger contains a request at %s. Set the clock if it is "
                "wrong. The new responses replace the bars of that request; bars of sessions that close between the "
                "two times do not count as complete, and are requested again after the market close.",
                f"{clock:%Y-%m-%d %H:%M:%S} UTC",
                f"{newest:%Y-%m-%d %H:%M:%S} UTC",
            )

    def _record(
        self, in_flight: dict[Future[_Ended], tuple[_Attempt, Call]], futures: Collection[Future[_Ended]]
    ) -> list[tuple[_Attempt, Call, _Ended, SourceError | None]]:
        """Read the responses of requests that have ended, in the order of arrival; record them in the ledger together.

        One thread does this, since what a response means can depend on another one. Writing the ledger once for all of
        them leaves time for acquiring calls.
        """
        results, entries = [], []
        try:
            for future in sorted(futures, key=lambda future: future.result().at):
                ended = future.result()
                attempt, call = in_flight.pop(future)
                error = ended.error
                if not ended.not_sent:
                    fetch, error = self._read(attempt.request, ended)
                    entries.append(fetch)
                    self._last[attempt.request.symbol] = fetch
                results.append((attempt, call, ended, error))
        finally:
            if entries:
                self._backend.ledger.record(*entries)
        return results

    def _read(self, request: Request, ended: _Ended) -> tuple[Fetch, SourceError | None]:
        """Return the entry of a request that was sent, and its failure, if any."""
        error, at = ended.error, ended.recorded_at or ended.at
        if error is None:
            try:
                return request.read(ended.body, ended.response_key, at), None
            except SourceError as unusable:
                error = unusable
        fetch = Fetch(
            request.symbol,
            request.kind,
            at,
            error.outcome,
            response_key=ended.response_key,
            content_hash=content_hash(ended.body) if ended.response_key else "",
            calls=1,
            detail=str(error),
        )
        return fetch, error

    def _handle(
        self, attempt: _Attempt, call: Call, ended: _Ended, error: SourceError | None, *, others_in_flight: bool
    ) -> None:
        """Note what a request has shown; put it into the queue again if it may succeed later."""
        health = self._health
        if ended.not_sent:
            self._queue.appendleft(attempt)
            if ended.not_sent.denied:
                health.stop(Outcome.DAILY_QUOTA, self._format_quota_used(ended.not_sent.denied))
            return
        if error is None:
            health.note_success(attempt.failures_before)
            return
        weight = health.weigh(call.acquired, ended.at)
        if error.transient and attempt.failures + weight < self._source.terms.attempts:
            self._queue.append(replace(attempt, failures=attempt.failures + weight))
        if isinstance(error, DailyQuotaExhausted):
            until = min(ended.at + DAILY_QUOTA_BLOCK, self._limits.next_reset(ended.at))
            self._backend.rate_limiter.block_until(self._source.vendor, until)
            health.stop(error.outcome, f"not requested before {until:%Y-%m-%d %H:%M} UTC: {error}")
        waiting = others_in_flight or bool(self._queue)
        health.note_failure(error, weight, attempt.failures_before, waiting=waiting)

    def _record_not_requested(self, outcome: Outcome, why: str) -> None:
        """Record the symbols that wait; one that was requested before keeps the reason of its last failure."""
        waiting = [attempt.request for attempt in self._queue if attempt.request.symbol not in self._last]
        at = self._now()
        entries = [Fetch(one.symbol, one.kind, at, outcome, detail=f"{one.symbol}: {why}") for one in waiting]
        self._backend.ledger.record(*entries)
        self._last |= {entry.symbol: entry for entry in entries}
        self._queue.clear()


def _times(arrived: datetime, after: datetime | None) -> tuple[datetime, datetime | None]:
    """Return the time to record for a response, see `Request.after`, and the clock's time if a session closes between.

    The response of a session that has not closed may have an incomplete bar, also if the recorded time is later.
    """
    if after is None or after < arrived:
        return arrived, None
    recorded_at = after + _NEXT
    return recorded_at, arrived if sessions_closing(arrived, recorded_at) else None


def _store(backend: Backend, request: Request, body: bytes, at: datetime, clock: datetime | None = None) -> str:
    """Store a body as it arrived; return its key."""
    key = response_key(request.kind, request.symbol, at, clock=clock)
    backend.objects.put(key, body)
    return key
