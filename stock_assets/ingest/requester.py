"""Send requests to the vendor: wait for a call, send, store the response before reading it, record the outcome.

Belongs here: the order of one request's steps, retrying transient failures, and stopping when no further request can
succeed. Does not belong here: which symbols are requested (`price_requests`, `split_requests`), HTTP
(`sources.transport`), counting calls (`backends.rate_limiter`).

Symbols are requested in turn. A symbol whose request failed for a transient reason goes to the end of the queue: every
symbol gets its first call before any symbol gets a second one. A call is acquired before each request, also before a
retry, right before it is sent; a request that arrives late at the vendor is counted from its arrival on.

One slow symbol does not delay the others: its repetition comes after all first requests, a response has
`sources.transport.WHOLE_RESPONSE_SECONDS` at most, and after `SLOW_FAILURES_LAST` of failures the run sends no more
requests. The symbols that were not requested come first in the next run.
"""

import hashlib
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.core.call_limits import COVERED_DELAY, ArrivalEstimate, CallDenied
from stock_assets.core.clock import Clock
from stock_assets.core.errors import DailyQuotaExhausted, Outcome, SourceError, UnrecognisedResponse
from stock_assets.core.text import plural
from stock_assets.ingest.response_keys import response_key
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.sending import SendObserver, observed

MAX_PAUSE_SECONDS = 60.0
"""Longest pause between two requests; if the vendor wants a longer one, this run sends no further request."""
MAX_CONSECUTIVE_FAILURES = 6
"""Consecutive transient failures, of any symbols, after which we assume that the vendor is down."""
MAX_UNKNOWN_MESSAGES = 3
"""Consecutive symbols with the same unknown message, after which we assume that the message concerns all symbols."""
SLOW_FAILURE = timedelta(seconds=10)
"""A failed request that took longer counts as two failures, so that it is repeated once at most.

The responses that were fetched wait for the last repetition before they are published: one symbol whose responses
trickled until a timeout of 120 s delayed 24 other symbols by 8 minutes.
"""
SLOW_FAILURES_LAST = timedelta(seconds=120)
"""Total time of slow failures, after which a run sends no more requests."""
DAILY_QUOTA_BLOCK = timedelta(hours=1)
"""Time without requests after the vendor reports that the day's calls are used.

It is shorter than a day, since the vendor's day may start at another time than we assume.
"""

Sleep = Callable[[float], None]
"""Wait for some seconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One request for one symbol.

    Attributes:
        symbol: ticker.
        kind: prices or splits.
        send: sends the request and returns the body of the response.
        read: reads a stored body, from (body, key of the stored object, time of arrival).
        known: the current response, stored earlier; an equal body is not stored again.
    """

    symbol: str
    kind: FetchKind
    send: Callable[[], bytes]
    read: Callable[[bytes, str, datetime], Fetch]
    known: Fetch | None = None


@dataclass(frozen=True)
class RequestResult:
    """The result for one symbol: the ledger entry of its last request, or why none was made, and the calls used."""

    fetch: Fetch
    calls: int


class Requester:
    """One run's requests to one vendor."""

    def __init__(self, backend: Backend, source: PriceSource, *, now: Clock, sleep: Sleep, reserve: int = 0) -> None:
        self._backend = backend
        self._source = source
        self._now = now
        self._sleep = sleep
        self._reserve = reserve
        self._arrivals = ArrivalEstimate(source.terms.limits)
        self._consecutive_failures = 0
        self._slow_failures = timedelta()
        self._unknown_messages: list[str] = []
        self._stopped: tuple[Outcome, str] | None = None

    def request_all(self, requests: Iterable[Request]) -> dict[str, RequestResult]:
        """Send the requests in the given order; return the result of each by symbol."""
        queue = deque((request, 0) for request in requests)
        last: dict[str, Fetch] = {}
        calls: Counter[str] = Counter()
        while queue:
            request, failures = queue.popleft()
            symbol = request.symbol
            call = self._acquire_call()
            if call is None:
                # A symbol that was requested before keeps the reason of its last failure.
                if symbol not in last:
                    last[symbol] = self._record_not_requested(request)
                continue
            calls[symbol] += 1
            last[symbol], error = self._send(request, call)
            if error is None:
                self._consecutive_failures, self._unknown_messages = 0, []
                continue
            weight = self._weigh(self._now() - call)
            if error.transient and failures + weight < self._source.terms.attempts:
                queue.append((request, failures + weight))
            self._handle_failure(error, weight, waiting=bool(queue))
        return {symbol: RequestResult(fetch, calls[symbol]) for symbol, fetch in last.items()}

    def _acquire_call(self, replaces: datetime | None = None) -> datetime | None:
        """Acquire a call, or another one in place of a recorded call, waiting if the rate limits require it.

        Returns:
            the timestamp that the rate limiter has recorded, or None if no request may be sent.
        """
        limits, at = self._source.terms.limits, self._now()

        def now() -> datetime:
            nonlocal at
            at = self._now()
            return at

        while self._stopped is None and not limits.unlimited:
            denied = self._backend.rate_limiter.acquire(
                self._source.vendor, limits, now, reserve=self._reserve, replaces=replaces
            )
            if denied is None:
                return at
            if denied.quota_used_up:
                self._stopped = (Outcome.DAILY_QUOTA, self._format_quota_used(denied))
            else:
                self._sleep(max(0.0, (denied.retry_at - self._now()).total_seconds()))
        return at if self._stopped is None else None

    def _format_quota_used(self, denied: CallDenied) -> str:
        limits = self._source.terms.limits
        if denied.retry_at < limits.next_reset(self._now()):
            why = "the vendor reported that no calls are left"
        else:
            used = f"today's {plural(limits.per_day or 0, 'call')} are used"
            why = used + (f", except {plural(self._reserve, 'call')} reserved for prices" if self._reserve else "")
        return f"not requested: {why}; calls are available again at {denied.retry_at:%Y-%m-%d %H:%M} UTC"

    def _send(self, request: Request, call: datetime) -> tuple[Fetch, SourceError | None]:
        """Send one request; store the response, then read it; record the outcome in the ledger."""
        response_key, body = "", b""
        try:
            body, arrived = self._send_counted(request, call)
            known = request.known
            if known is not None and known.content_hash == content_hash(body):
                response_key = known.response_key
            else:
                response_key = _store(self._backend, request, body, arrived)
            fetch = request.read(body, response_key, arrived)
        except SourceError as error:
            arrived = self._now()
            if error.body and not response_key:
                body = error.body
                response_key = _store(self._backend, request, body, arrived)
            fetch = Fetch(
                request.symbol,
                request.kind,
                arrived,
                error.outcome,
                response_key=response_key,
                content_hash=content_hash(body) if response_key else "",
                calls=1,
                detail=str(error),
            )
            self._backend.ledger.record(fetch)
            return fetch, error
        self._backend.ledger.record(fetch)
        return fetch, None

    def _send_counted(self, request: Request, call: datetime) -> tuple[bytes, datetime]:
        """Send one request; if it may have arrived late, count it from then on. Return body and time of arrival."""
        rates = self._source.terms.limits.rates
        counted, sent = call, call

        def postpone_to(timestamp: datetime) -> None:
            nonlocal counted
            if rates and timestamp - counted > COVERED_DELAY:
                self._backend.rate_limiter.postpone(self._source.vendor, counted, timestamp)
                counted = timestamp

        def prepare() -> None:
            nonlocal counted
            # After a window, other processes have made calls in place of this one.
            if rates and self._now() - counted >= min(window for _, window in rates):
                counted = self._acquire_call(replaces=counted) or counted
            postpone_to(self._now())

        def note_sent() -> None:
            nonlocal sent
            sent = self._now()

        try:
            with observed(SendObserver(before=prepare, after=note_sent)):
                body = request.send()
        finally:
            ended = self._now()
            sent = max(sent, counted)
            postpone_to(sent + self._arrivals.delay(ended - sent))
        return body, ended

    def _weigh(self, took: timedelta) -> int:
        """Return as how many failures a failed request counts, and add up the time of slow ones."""
        if took <= SLOW_FAILURE:
            return 1
        self._slow_failures += took
        return 2

    def _handle_failure(self, error: SourceError, weight: int, *, waiting: bool) -> None:
        """Stop if no further request can succeed; else pause if the failure is transient."""
        if error.concerns_all:
            self._stopped = (error.outcome, f"not requested, since every request would fail in the same way: {error}")
        elif isinstance(error, DailyQuotaExhausted):
            now = self._now()
            until = min(now + DAILY_QUOTA_BLOCK, self._source.terms.limits.next_reset(now))
            self._backend.rate_limiter.block_until(self._source.vendor, until)
            self._stopped = (error.outcome, f"not requested before {until:%Y-%m-%d %H:%M} UTC: {error}")
        elif error.transient:
            self._handle_transient_failure(error, weight, waiting=waiting)
        else:
            self._consecutive_failures = 0
            self._stop_at_repeated_message(error)

    def _handle_transient_failure(self, error: SourceError, weight: int, *, waiting: bool) -> None:
        self._consecutive_failures += weight
        pause = self._pause(error.retry_after)
        if self._slow_failures >= SLOW_FAILURES_LAST:
            seconds = round(self._slow_failures.total_seconds())
            why = f"the vendor is too slow now: failed requests took {seconds} s in this run"
            self._stopped = (error.outcome, f"not requested, since {why}: {error}")
        elif self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES or pause > MAX_PAUSE_SECONDS:
            self._stopped = (error.outcome, f"not requested, since the vendor is not available now: {error}")
        elif waiting and pause > 0:
            _log.info("pausing %.1f s: %s", pause, error)
            self._sleep(pause)

    def _stop_at_repeated_message(self, error: SourceError) -> None:
        """Stop if the vendor sends the same unknown message for several symbols in a row: it may concern the key."""
        message = str(error).replace(error.symbol, "")
        same = isinstance(error, UnrecognisedResponse) and message in self._unknown_messages[-1:]
        self._unknown_messages = [*self._unknown_messages, message] if same else [message]
        if same and len(self._unknown_messages) >= MAX_UNKNOWN_MESSAGES:
            self._stopped = (
                error.outcome,
                f"not requested in this run, since {MAX_UNKNOWN_MESSAGES} symbols in a row had this response: {error}",
            )

    def _pause(self, retry_after: float | None) -> float:
        """Return the seconds to wait: doubling, the upper half at random, never less than the vendor requires."""
        first = self._source.terms.first_pause_seconds
        longest = min(first * 2.0 ** (self._consecutive_failures - 1), MAX_PAUSE_SECONDS)
        return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 (jitter)

    def _record_not_requested(self, request: Request) -> Fetch:
        outcome, why = self._stopped or (Outcome.UNREACHABLE, "")
        fetch = Fetch(request.symbol, request.kind, self._now(), outcome, detail=f"{request.symbol}: {why}")
        self._backend.ledger.record(fetch)
        return fetch


def _store(backend: Backend, request: Request, body: bytes, arrived: datetime) -> str:
    """Store a body as it arrived; return its key."""
    key = response_key(request.kind, request.symbol, arrived)
    backend.objects.put(key, body)
    return key


def content_hash(body: bytes) -> str:
    """Return the SHA-256 of a body, hexadecimal."""
    return hashlib.sha256(body).hexdigest()
