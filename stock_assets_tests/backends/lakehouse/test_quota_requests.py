"""Requests to S3 for counting calls: one write per call of a process that is alone, and an exact count in any case."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.backends.interface import RateLimiter
from stock_assets.core.call_limits import SECOND, CallDenied, CallLimits
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.processes import fork_server
from stock_assets_tests.support.rate_limiters import START, VENDOR, RateLimiterCase, s3_case

LIMITS = CallLimits(per_second=1, per_day=100)


@pytest.fixture
def case(tmp_path: Path, aws: AwsEmulator) -> RateLimiterCase:
    """Return the rate limiter of a bucket, whose layout object exists."""
    found = s3_case(aws.endpoint, tmp_path)
    assert acquire(found.open(), 0) is None
    return found


def at(window: float) -> datetime:
    return START + window * SECOND


def acquire(limiter: RateLimiter, window: float) -> CallDenied | None:
    return limiter.acquire(VENDOR, LIMITS, lambda: at(window))


@pytest.fixture
def requests(aws: AwsEmulator) -> Callable[[], list[str]]:
    """Return a function that returns the methods of the requests for the object since its last call."""
    aws.calls.clear()

    def take() -> list[str]:
        found = [call.request.partition(" ")[0] for call in aws.calls if "/quota/" in call.request]
        aws.calls.clear()
        return found

    return take


def test_a_process_that_is_alone_reads_the_object_once(
    case: RateLimiterCase, requests: Callable[[], list[str]]
) -> None:
    limiter = case.open()

    assert acquire(limiter, 1) is None
    assert requests() == ["GET", "PUT"]
    for window in range(2, 6):
        assert acquire(limiter, window) is None
    limiter.postpone(VENDOR, at(5), at(5.5))
    limiter.block_until(VENDOR, at(6))
    assert requests() == ["PUT"] * 6
    assert len(case.recorded_calls()) == 6


def test_calls_are_postponed_together_with_one_write(case: RateLimiterCase, requests: Callable[[], list[str]]) -> None:
    limiter = case.open()
    for window in (1, 2, 3):
        assert acquire(limiter, window) is None
    requests()

    limiter.postpone_all(VENDOR, [(at(1), at(1.5)), (at(1.5), at(1.7)), (at(9), at(10)), (at(3), at(3.5))])
    assert requests() == ["PUT"]
    assert case.recorded_calls() == [START, at(1.7), at(2), at(3.5)]


def test_a_denial_is_decided_with_an_object_that_was_just_read(
    case: RateLimiterCase, requests: Callable[[], list[str]]
) -> None:
    mine, other = case.open(), case.open()
    assert acquire(mine, 1) is None
    # The other process counts its call later, which mine can only know from the object.
    other.postpone(VENDOR, at(1), at(-2))
    requests()

    assert acquire(mine, 1.5) is None
    assert acquire(mine, 1.6) == CallDenied(at(2.5), quota_used_up=False)
    assert acquire(mine, 2.5) is None
    assert requests() == ["GET", "PUT", "GET", "PUT"]
    assert len(case.recorded_calls()) == 4


def test_two_processes_in_turn_lose_no_call(case: RateLimiterCase, requests: Callable[[], list[str]]) -> None:
    one, two = case.open(), case.open()
    for window in (1, 2):
        assert acquire(one, window) is None
    requests()

    assert acquire(two, 3) is None
    assert requests() == ["GET", "PUT"]
    # S3 rejects what this process writes without reading (412); HEAD shows that the object is not its own.
    assert acquire(one, 4) is None
    assert requests() == ["PUT", "HEAD", "GET", "PUT"]
    assert acquire(two, 5) is None
    assert requests() == ["PUT", "HEAD", "GET", "PUT"]
    # From now on both read first, as long as the other one writes.
    for window in range(6, 12):
        assert acquire((one, two)[window % 2], window) is None
        assert requests() == ["GET", "PUT"]
    # The other process has ended.
    assert acquire(one, 12) is None
    assert acquire(one, 13) is None
    assert requests() == ["GET", "PUT", "GET", "PUT"]
    assert acquire(one, 14) is None
    assert requests() == ["PUT"]
    assert case.recorded_calls() == [at(window) for window in range(15)]


def test_a_process_knows_whether_it_is_alone(case: RateLimiterCase) -> None:
    one, two = case.open(), case.open()
    assert one.alone(VENDOR)
    for window in (1, 2):
        assert acquire(one, window) is None
        assert one.alone(VENDOR)

    for window in (3, 5, 7):
        assert acquire(two, window) is None
        assert acquire(one, window + 1) is None
        assert not one.alone(VENDOR)
    # The other process has ended.
    assert acquire(one, 9) is None
    assert one.alone(VENDOR)


def test_a_deleted_object_is_written_again(case: RateLimiterCase, aws: AwsEmulator, tmp_path: Path) -> None:
    limiter, objects = case.open(), athena_backend(aws.endpoint, tmp_path).objects
    assert acquire(limiter, 1) is None
    [key] = objects.keys("quota/")
    objects.delete(key)

    assert acquire(limiter, 2) is None
    assert case.recorded_calls() == [at(2)]


def test_a_write_whose_response_was_lost_counts_once(
    case: RateLimiterCase, aws: AwsEmulator, requests: Callable[[], list[str]]
) -> None:
    """boto3 repeats the write, which S3 rejects then; HEAD shows that the object is this process's own."""
    limiter = case.open()
    assert acquire(limiter, 1) is None
    requests()

    aws.call_faults.append(CallFault(f"PUT /{BUCKET}", 503, "SlowDown", after=True))
    assert acquire(limiter, 2) is None
    assert requests() == ["PUT", "PUT", "HEAD"]
    assert acquire(limiter, 3) is None
    assert requests() == ["PUT"]
    assert case.recorded_calls() == [at(window) for window in range(4)]


def test_threads_that_share_a_rate_limiter_lose_no_call(case: RateLimiterCase) -> None:
    limiter, moved = case.open(), timedelta(hours=1)

    def count(number: int) -> None:
        for each in range(5):
            now = at(1 + each) + timedelta(milliseconds=number)
            assert limiter.acquire(VENDOR, CallLimits(per_day=1000), lambda: now) is None  # noqa: B023 (called at once)
            if each % 2:
                limiter.postpone(VENDOR, now, now + moved)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(count, range(4))) == [None] * 4
    assert case.recorded_calls() == sorted(
        [
            START,
            *(
                at(1 + each) + timedelta(milliseconds=number) + (moved if each % 2 else timedelta())
                for each in range(5)
                for number in range(4)
            ),
        ]
    )


def take_calls(open_limiter: Callable[[], RateLimiter], number: int, count: int) -> None:
    """Acquire calls at timestamps that only this process uses."""
    limiter = open_limiter()
    for each in range(count):
        now = START + timedelta(seconds=each, milliseconds=number)
        assert limiter.acquire(VENDOR, CallLimits(per_day=10_000), lambda: now) is None  # noqa: B023 (called at once)
        limiter.postpone(VENDOR, now, now + timedelta(hours=1))


@pytest.mark.slow
def test_processes_that_compete_count_each_call_exactly_once(case: RateLimiterCase) -> None:
    processes = [
        fork_server().Process(target=partial(take_calls, case.open, number, 15), daemon=True) for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=180)

    assert [process.exitcode for process in processes] == [0] * 3
    made: list[datetime] = [
        START + timedelta(hours=1, seconds=each, milliseconds=number) for each in range(15) for number in range(3)
    ]
    assert sorted(case.recorded_calls()) == [START, *made]
