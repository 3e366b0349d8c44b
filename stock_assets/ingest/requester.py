"""Spends calls: waits until one is free, asks, keeps the answer before reading it, and notes how it ended.

Belongs here: the order of one request's steps, repeating transient failures, and stopping when nothing more can be
had. Does not belong here: who is asked for what (`fetch`), HTTP (`http`), counting calls (the backend's `budget`).

Symbols are asked in turn. One whose request failed for a passing reason goes to the end of the line, so that every
symbol has had its first call before any has a second. Each request, first or repeated, is charged before it is made.
"""

import hashlib
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from stock_assets.backends.interface import Backend, Fetch, FetchKind
from stock_assets.backends.rate_limiter import CallDenied
from stock_assets.core.clock import Clock
from stock_assets.core.errors import BadKey, DailyQuotaSpent, Outcome, SourceError
from stock_assets.sources.interface import PriceSource

LONGEST_PAUSE_SECONDS = 60.0
"""Longest pause between two requests; a vendor that asks for a longer one is not asked again in this run."""
GIVE_UP_AFTER = 6
"""Transient failures in a row, whatever the symbols, after which the vendor is taken to be down."""
QUOTA_TEXT_HOLDS = timedelta(hours=1)
"""How long the vendor's word that the day's calls are used up is believed: its day need not be the one we assume."""

Sleep = Callable[[float], None]
"""Waits for some seconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One thing to ask about one symbol.

    Attributes:
        symbol: ticker.
        kind: what is asked.
        send: makes the request; gives the body.
        read: reads a stored body, from (body, key of the stored object, time of arrival).
        known: the earlier answer in force; a body that is the same is not stored again.
    """

    symbol: str
    kind: FetchKind
    send: Callable[[], bytes]
    read: Callable[[bytes, str, datetime], Fetch]
    known: Fetch | None = None


@dataclass(frozen=True)
class RequestResult:
    """How a question ended: the last request, or the note why there was none, and the calls it took."""

    fetch: Fetch
    calls: int


class Requester:
    """One run's requests to one vendor."""

    def __init__(self, backend: Backend, source: PriceSource, *, now: Clock, sleep: Sleep, reserve: int = 0) -> None:
        self._home = backend
        self._source = source
        self._now = now
        self._sleep = sleep
        self._reserve = reserve
        self._failures_in_row = 0
        self._stopped: tuple[Outcome, str] | None = None

    def request_all(self, questions: Iterable[Request]) -> dict[str, RequestResult]:
        """Ask in the order given; give the end of each question by its symbol."""
        line = deque((question, 1) for question in questions)
        last: dict[str, Fetch] = {}
        calls: Counter[str] = Counter()
        while line:
            question, attempt = line.popleft()
            symbol = question.symbol
            if not self._may_ask():
                # One that was asked already keeps the reason of its own failure.
                if symbol not in last:
                    last[symbol] = self._note_not_asked(question)
                continue
            calls[symbol] += 1
            last[symbol], failure = self._request(question)
            if failure is None:
                self._failures_in_row = 0
                continue
            if failure.transient and attempt < self._source.terms.attempts:
                line.append((question, attempt + 1))
            self._after(failure, waiting=bool(line))
        return {symbol: RequestResult(fetch, calls[symbol]) for symbol, fetch in last.items()}

    def _may_ask(self) -> bool:
        """Take a call, waiting for it if the pace asks for that."""
        limits = self._source.terms.limits
        while self._stopped is None and not limits.unlimited:
            refused = self._home.rate_limiter.acquire(self._source.vendor, limits, self._now, reserve=self._reserve)
            if refused is None:
                return True
            if refused.quota_used_up:
                self._stopped = (Outcome.DAILY_QUOTA, self._why_none_left(refused))
            else:
                self._sleep(max(0.0, (refused.retry_at - self._now()).total_seconds()))
        return self._stopped is None

    def _why_none_left(self, refused: CallDenied) -> str:
        kept = f", {self._reserve} kept for prices" if self._reserve else ""
        return (
            f"left for the next day: the day's {self._source.terms.limits.per_day or ''} calls are spent{kept}; "
            f"there are new ones at {refused.retry_at:%Y-%m-%d %H:%M} UTC"
        )

    def _request(self, question: Request) -> tuple[Fetch, SourceError | None]:
        """Ask once; keep the answer, then read it; note it in the ledger either way."""
        payload, body = "", b""
        try:
            body = question.send()
            arrived = self._now()
            known = question.known
            if known is not None and known.content_hash == content_hash(body):
                payload = known.response_key
            else:
                payload = store(self._home, question.kind, question.symbol, body, arrived)
            fetch = question.read(body, payload, arrived)
        except SourceError as error:
            arrived = self._now()
            if error.body and not payload:
                body = error.body
                payload = store(self._home, question.kind, question.symbol, body, arrived)
            fetch = Fetch(
                question.symbol,
                question.kind,
                arrived,
                error.outcome,
                response_key=payload,
                content_hash=content_hash(body) if payload else "",
                calls=1,
                detail=str(error),
            )
            self._home.ledger.record(fetch)
            return fetch, error
        self._home.ledger.record(fetch)
        return fetch, None

    def _after(self, failure: SourceError, *, waiting: bool) -> None:
        """Stop if no further request can succeed; else pause if the failure may pass."""
        if isinstance(failure, BadKey):
            self._stopped = (failure.outcome, f"not asked, since every request would end the same: {failure}")
        elif isinstance(failure, DailyQuotaSpent):
            now = self._now()
            until = min(now + QUOTA_TEXT_HOLDS, self._source.terms.limits.next_reset(now))
            self._home.rate_limiter.block_until(self._source.vendor, until)
            self._stopped = (failure.outcome, f"left for later: {failure}")
        elif failure.transient:
            self._failures_in_row += 1
            pause = self._pause(failure.retry_after)
            if self._failures_in_row >= GIVE_UP_AFTER or pause > LONGEST_PAUSE_SECONDS:
                self._stopped = (failure.outcome, f"not asked, the vendor does not serve at the moment: {failure}")
            elif waiting and pause > 0:
                _log.info("pausing %.1f s: %s", pause, failure)
                self._sleep(pause)
        else:
            self._failures_in_row = 0

    def _pause(self, retry_after: float | None) -> float:
        """Give the seconds to wait: doubling, the upper half at random, never less than the vendor asks for."""
        first = self._source.terms.first_pause_seconds
        longest = min(first * 2.0 ** (self._failures_in_row - 1), LONGEST_PAUSE_SECONDS)
        return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 (jitter)

    def _note_not_asked(self, question: Request) -> Fetch:
        outcome, why = self._stopped or (Outcome.UNREACHABLE, "")
        fetch = Fetch(question.symbol, question.kind, self._now(), outcome, detail=f"{question.symbol}: {why}")
        self._home.ledger.record(fetch)
        return fetch


def store(backend: Backend, kind: FetchKind, symbol: str, body: bytes, arrived: datetime) -> str:
    """Keep a body as it came; give its key."""
    ending = "csv" if kind is FetchKind.PRICES else "json"
    key = f"raw/{kind}/ingest_date={arrived:%Y-%m-%d}/{arrived:%Y%m%dT%H%M%S%fZ}/{symbol}.{ending}"
    backend.objects.put(key, body)
    return key


def content_hash(body: bytes) -> str:
    """Give the SHA-256 of a body, hexadecimal."""
    return hashlib.sha256(body).hexdigest()
