"""Retry an operation that may succeed later.

Belongs here: the one retry policy, exponential back-off with full jitter and a limited number of attempts. Does not
belong here: which failures are transient (the caller), or how fast a vendor may be called (the rate limiter).
"""

import time
from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)


def retrying(
    *,
    attempts: int,
    longest_seconds: float,
    on: type[Exception] | tuple[type[Exception], ...] | Callable[[BaseException], bool],
    sleep: Callable[[float], None] = time.sleep,
    first_seconds: float = 0.2,
) -> Retrying:
    """Return a policy that repeats a call: `retrying(...)(function, argument)`.

    The pause before each further attempt is random, so that processes that failed together do not retry together: it
    lies between 0 and `first_seconds`, doubled after each failure up to `longest_seconds`. After the last attempt its
    own exception is raised.

    Args:
        attempts: calls at most, including the first one.
        longest_seconds: upper limit of one pause.
        on: exception types that are retried, or a function that returns whether an exception is retried.
        sleep: waits; tests replace it.
        first_seconds: upper limit of the first pause.
    """
    condition = retry_if_exception_type(on) if isinstance(on, type | tuple) else retry_if_exception(on)
    return Retrying(
        sleep=sleep,
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=first_seconds, max=longest_seconds),
        retry=condition,
        reraise=True,
    )
