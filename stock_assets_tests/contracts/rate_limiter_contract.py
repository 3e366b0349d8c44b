"""The rate limiter on every store: concurrent callers together keep the limits.

A test module subclasses the class and defines the fixtures `limiter_case` and `limiter`.
"""

import threading
from datetime import timedelta

from stock_assets.backends.interface import RateLimiter
from stock_assets.core.call_limits import MINUTE, SECOND, CallDenied, CallLimits
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.support.processes import fork_server
from stock_assets_tests.support.rate_limiters import (
    START,
    VENDOR,
    RateLimiterCase,
    acquire_by_machine_clock,
    acquire_calls,
    most_in_a_window,
    use_up_the_day,
)


class RateLimiterContract:
    """`RateLimiter`, used by one caller, many threads and many processes."""

    def test_calls_are_as_fast_as_the_limits_allow_and_no_faster(self, limiter: RateLimiter) -> None:
        clock = FakeClock(START)
        made = acquire_calls(limiter, CallLimits(per_second=1, per_minute=5), clock, 20)

        # The first five are a second apart (four pauses); the last five can begin three minutes after the first.
        assert made[-1] - made[0] == 3 * MINUTE + 4 * SECOND
        assert most_in_a_window(made, MINUTE) == 5
        assert most_in_a_window(made, SECOND) == 1

    def test_several_calls_are_acquired_at_once_as_many_as_the_limits_allow(self, limiter: RateLimiter) -> None:
        limits, at = CallLimits(per_second=5, per_day=8), START

        assert limiter.acquire_up_to(3, VENDOR, limits, lambda: at) == 3
        assert limiter.acquire_up_to(3, VENDOR, limits, lambda: at) == 2
        assert limiter.acquire_up_to(3, VENDOR, limits, lambda: at) == CallDenied(at + SECOND, quota_used_up=False)
        # One of five calls at the same time is made later: the others' tokens return before its token.
        limiter.postpone(VENDOR, at, at + timedelta(seconds=0.5))
        at += SECOND
        assert limiter.acquire_up_to(9, VENDOR, limits, lambda: at, reserve=1) == 2
        denied = limiter.acquire_up_to(9, VENDOR, limits, lambda: at, reserve=1)
        assert isinstance(denied, CallDenied)
        assert denied.quota_used_up
        assert limiter.acquire_up_to(9, VENDOR, limits, lambda: at) == 1
        assert limiter.used_calls(VENDOR, START) == 8

    def test_processes_share_the_limits(self, limiter_case: RateLimiterCase) -> None:
        processes = [
            fork_server().Process(target=acquire_by_machine_clock, args=(limiter_case.open, 10), daemon=True)
            for _ in range(3)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=180)

        assert [process.exitcode for process in processes] == [0, 0, 0]
        timestamps = limiter_case.recorded_calls()
        assert len(timestamps) == 30
        assert most_in_a_window(timestamps, SECOND) <= 10
        assert timedelta(seconds=2) <= timestamps[-1] - timestamps[0]

    def test_processes_together_acquire_exactly_the_daily_quota(self, limiter_case: RateLimiterCase) -> None:
        pipes = [fork_server().Pipe(duplex=False) for _ in range(4)]
        processes = [
            fork_server().Process(target=use_up_the_day, args=(limiter_case.open, sender), daemon=True)
            for _, sender in pipes
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=180)

        assert [process.exitcode for process in processes] == [0] * 4
        assert sum(receiver.recv() for receiver, _ in pipes) == 25
        assert limiter_case.recorded_calls() == [START] * 25

    def test_only_one_of_many_callers_acquires_the_last_call_of_the_day(self, limiter_case: RateLimiterCase) -> None:
        limits = CallLimits(per_day=25)
        for _ in range(24):
            assert limiter_case.open().acquire(VENDOR, limits, lambda: START) is None
        results: list[CallDenied | None] = []

        def acquire() -> None:
            results.append(limiter_case.open().acquire(VENDOR, limits, lambda: START))

        threads = [threading.Thread(target=acquire, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=180)

        assert sum(denied is None for denied in results) == 1
        assert limiter_case.open().used_calls(VENDOR, limits.day_start(START)) == 25

    def test_a_block_denies_calls_until_it_ends(self, limiter: RateLimiter) -> None:
        limits, until = CallLimits(per_day=25), START + timedelta(hours=1)
        limiter.block_until(VENDOR, until)

        assert limiter.acquire(VENDOR, limits, lambda: START) == CallDenied(until, quota_used_up=True)
        assert limiter.blocked_until(VENDOR, START) == until
        assert limiter.used_calls(VENDOR, START) == 0
        assert limiter.acquire(VENDOR, limits, lambda: until) is None
        assert limiter.blocked_until(VENDOR, until) is None
