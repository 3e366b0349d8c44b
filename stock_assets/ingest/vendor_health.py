"""Decide from a run's responses whether its requests stop, pause, or are sent one at a time.

Belongs here: what failures mean for the requests that follow. Does not belong here: sending (`requester`), the meaning
of a message (`sources`).

Requests are in flight at the same time only while the vendor responds well. The first request is sent alone, and so
is each request after a failure that may concern the others too, until a response is good: a key that the vendor
rejects is used once. Requests that were in flight together fail together, and count as one failure.
"""

import logging
import random
from datetime import datetime, timedelta

from stock_assets.core.clock import Clock
from stock_assets.core.errors import Outcome, SourceError, UnrecognisedResponse
from stock_assets.sources.interface import Terms

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
"""Total time of slow failures, after which a run sends no more requests; times of the same requests count once."""

_log = logging.getLogger(__name__)


class VendorHealth:
    """What the responses of one run have shown.

    Attributes:
        stopped: outcome and reason for the symbols that are not requested any more, or None.
        alone: whether the next request is sent alone.
        failures: number of failures that may concern other requests too.
    """

    def __init__(self, terms: Terms, now: Clock) -> None:
        self.stopped: tuple[Outcome, str] | None = None
        self.alone = True
        self.failures = 0
        self._refused = False
        self._terms = terms
        self._now = now
        self._consecutive_failures = 0
        self._unknown_messages: list[str] = []
        self._pause_ends: datetime | None = None
        self._slow_failures = timedelta()
        self._slow_until: datetime | None = None

    def may_send(self) -> bool:
        """Return whether a request whose call was acquired may be sent."""
        return not self._refused

    def stop(self, outcome: Outcome, why: str, *, calls_used_up: bool = False) -> None:
        """Acquire no more calls; the first reason counts. If all are used up, the acquired ones are still made."""
        self.stopped = self.stopped or (outcome, why)
        self._refused = self._refused or not calls_used_up

    def seconds_of_pause(self) -> float:
        """Return the seconds until the next request may be sent."""
        return max(0.0, (self._pause_ends - self._now()).total_seconds()) if self._pause_ends else 0.0

    def note_success(self, failures_before: int) -> None:
        """Record a good response to a request that was sent after some failures of the run."""
        self._consecutive_failures, self._unknown_messages = 0, []
        self.alone = self.alone and failures_before < self.failures

    def note_failure(self, error: SourceError, weight: int, failures_before: int, *, waiting: bool) -> None:
        """Stop if no further request can succeed; else pause if the failure is transient.

        Args:
            error: the failure.
            weight: number of failures that it counts as.
            failures_before: failures of the run when the request was sent.
            waiting: whether other requests wait or are in flight.
        """
        if error.concerns_all:
            self._stop(error, "not requested, since every request would fail in the same way")
        elif error.transient:
            self._note_transient(error, weight, waiting=waiting, together=failures_before < self.failures)
        else:
            self._consecutive_failures = 0
            self._note_message(error)

    def weigh(self, began: datetime, ended: datetime) -> int:
        """Return as how many failures a failed request counts, and add up the time of slow ones."""
        if ended - began <= SLOW_FAILURE:
            return 1
        self._slow_failures += max(ended - max(began, self._slow_until or began), timedelta())
        self._slow_until = ended
        return 2

    def _note_transient(self, error: SourceError, weight: int, *, waiting: bool, together: bool) -> None:
        if not together:
            self._consecutive_failures += weight
            self._be_careful()
        pause = error.retry_after or 0.0 if together else self._pause(error.retry_after)
        if self._slow_failures >= SLOW_FAILURES_LAST:
            seconds = round(self._slow_failures.total_seconds())
            self._stop(
                error, f"not requested, since the vendor is too slow now: failed requests took {seconds} s in this run"
            )
        elif self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES or pause > MAX_PAUSE_SECONDS:
            self._stop(error, "not requested, since the vendor is not available now")
        elif waiting and pause > 0:
            _log.info("pausing %.1f s: %s", pause, error)
            ends = self._now() + timedelta(seconds=pause)
            self._pause_ends = max(ends, self._pause_ends or ends)

    def _note_message(self, error: SourceError) -> None:
        """Stop if the vendor sends the same unknown message for several symbols in a row: it may concern the key."""
        message, unknown = str(error).replace(error.symbol, ""), isinstance(error, UnrecognisedResponse)
        same = unknown and message in self._unknown_messages[-1:]
        self._unknown_messages = [*self._unknown_messages, message] if same else [message]
        if unknown:
            self._be_careful()
        if same and len(self._unknown_messages) >= MAX_UNKNOWN_MESSAGES:
            self._stop(
                error, f"not requested in this run, since {MAX_UNKNOWN_MESSAGES} symbols in a row had this response"
            )

    def _be_careful(self) -> None:
        self.failures += 1
        self.alone = True

    def _stop(self, error: SourceError, why: str) -> None:
        self.stop(error.outcome, f"{why}: {error}")

    def _pause(self, retry_after: float | None) -> float:
        """Return the seconds to wait: doubling, the upper half at random, never less than the vendor requires."""
        first = self._terms.first_pause_seconds
        longest = min(first * 2.0 ** (self._consecutive_failures - 1), MAX_PAUSE_SECONDS)
        return max(longest * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 (jitter)
