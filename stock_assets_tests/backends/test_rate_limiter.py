"""The rate limiter: never more calls than the plan allows, however many callers, never slower than necessary."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.backends.interface import RateLimiter
from stock_assets.core.call_limits import (
    LONGEST_LEAD,
    MINUTE,
    SECOND,
    ArrivalEstimate,
    CallDenied,
    CallLimits,
    VendorCalls,
    WriteTimes,
)
from stock_assets_tests.contracts.rate_limiter_contract import RateLimiterContract
from stock_assets_tests.fakes.clock import FakeClock, SharedClock
from stock_assets_tests.support.live_source import utc
from stock_assets_tests.support.rate_limiters import (
    START,
    VENDOR,
    RateLimiterCase,
    acquire_calls,
    most_in_a_window,
    open_sqlite,
    s3_case,
    sqlite_case,
)


@pytest.fixture(params=["sqlite", "s3"])
def limiter_case(request: pytest.FixtureRequest, tmp_path: Path) -> RateLimiterCase:
    if request.param == "sqlite":
        return sqlite_case(tmp_path)
    return s3_case(request.getfixturevalue("aws").endpoint, tmp_path)


@pytest.fixture
def limiter(limiter_case: RateLimiterCase) -> RateLimiter:
    return limiter_case.open()


class TestRateLimiter(RateLimiterContract):
    """The contract, on SQLite and on S3 in the Athena emulator."""


@settings(deadline=None, max_examples=25)
@given(
    per_second=st.integers(1, 3),
    per_minute=st.none() | st.integers(1, 8),
    pauses=st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.03, 20.0, 61.0]), min_size=12, max_size=12),
)
def test_no_window_4_percent_longer_than_the_vendors_has_too_many_calls(
    tmp_path_factory: pytest.TempPathFactory, per_second: int, per_minute: int | None, pauses: list[float]
) -> None:
    """The vendor counts requests when it receives them, and latency varies."""
    limiter, clock = open_sqlite(tmp_path_factory.mktemp("ledger")), FakeClock(START)
    limits, made = CallLimits(per_second=per_second, per_minute=per_minute), list[datetime]()
    for pause in pauses:
        clock.sleep(pause)
        made += acquire_calls(limiter, limits, clock, 1)

    assert most_in_a_window(made, timedelta(seconds=1.05)) <= per_second
    assert per_minute is None or most_in_a_window(made, timedelta(seconds=62.4)) <= per_minute


def test_a_vendor_that_counts_received_requests_in_sliding_windows_accepts_every_call(limiter: RateLimiter) -> None:
    # Seconds between sending a request and its receipt by the vendor. Requests sent exactly 1 s apart are received
    # down to 0.97 s apart.
    latency = [0.20, 0.174, 0.21, 0.186, 0.208, 0.206, 0.21, 0.18]
    sent = acquire_calls(limiter, CallLimits(per_second=1), FakeClock(START), len(latency))
    received = [timestamp + timedelta(seconds=late) for timestamp, late in zip(sent, latency, strict=True)]
    assert most_in_a_window(received, timedelta(seconds=1)) == 1


def test_two_runs_together_keep_the_limits(limiter_case: RateLimiterCase) -> None:
    clock, limits = SharedClock(START), CallLimits(per_minute=5)
    made = clock.run(*[lambda: acquire_calls(limiter_case.open(), limits, clock, 10)] * 2)

    together = sorted(made[0] + made[1])
    assert len(together) == 20
    assert most_in_a_window(together, MINUTE) == 5
    assert together[-1] - together[0] == 3 * MINUTE


def test_a_quota_day_ends_at_midnight_of_its_zone(limiter: RateLimiter) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    assert limiter.acquire(VENDOR, limits, lambda: START) is None

    denied = limiter.acquire(VENDOR, limits, lambda: utc("2024-03-02 04:59"))

    assert denied == CallDenied(utc("2024-03-02 05:00"), quota_used_up=True)
    assert limiter.acquire(VENDOR, limits, lambda: denied.retry_at) is None


@pytest.mark.parametrize(("day", "hours"), [("2024-03-10", 23), ("2024-11-03", 25), ("2024-07-04", 24)])
def test_a_quota_day_may_have_23_or_25_hours(day: str, hours: int) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    noon = utc(f"{day} 17:00")
    assert limits.next_reset(noon) - limits.day_start(noon) == timedelta(hours=hours)
    assert limits.quota_day(limits.day_start(noon)) == limits.quota_day(limits.next_reset(noon)) - timedelta(days=1)


def test_a_caller_with_a_reserve_leaves_calls_for_others(limiter: RateLimiter) -> None:
    limits = CallLimits(per_day=5)
    taken = [limiter.acquire(VENDOR, limits, lambda: START, reserve=3) for _ in range(3)]
    assert [denied is None for denied in taken] == [True, True, False]
    assert limiter.acquire(VENDOR, limits, lambda: START) is None


def test_calls_survive_a_restart_and_are_counted_per_vendor(limiter_case: RateLimiterCase) -> None:
    limits = CallLimits(per_day=1)
    assert limiter_case.open().acquire(VENDOR, limits, lambda: START) is None
    again = limiter_case.open()
    assert again.acquire(VENDOR, limits, lambda: START) is not None
    assert again.acquire("another", limits, lambda: START) is None


@pytest.mark.parametrize("back", [timedelta(seconds=0.1), MINUTE, timedelta(hours=1)])
def test_after_a_clock_was_set_back_a_call_waits_for_two_windows_at_most(limiter: RateLimiter, back: timedelta) -> None:
    """A call that is recorded a lead ahead lies in the future too."""
    limits, earlier = CallLimits(per_minute=1), START - back
    assert limiter.acquire(VENDOR, limits, lambda: START) is None
    # The second call is made after one window: what the first clock has counted does not return.
    made = acquire_calls(limiter, limits, FakeClock(earlier), 2)
    first = START + MINUTE if back <= MINUTE else earlier
    assert made == [first, first + MINUTE]


def test_after_a_clock_was_set_back_calls_of_later_days_do_not_use_up_the_day(limiter: RateLimiter) -> None:
    limits, day = CallLimits(per_day=2, day_zone="America/New_York"), timedelta(days=1)
    for at in (START + 30 * day, START + timedelta(hours=1)):
        assert limiter.acquire(VENDOR, limits, lambda at=at: at) is None  # type: ignore[misc]  # called at once
    limiter.block_until(VENDOR, START + 30 * day)

    assert limiter.blocked_until(VENDOR, START) is None
    assert limiter.acquire(VENDOR, limits, lambda: START) is None
    # A call later on this day counts.
    assert limiter.acquire(VENDOR, limits, lambda: START) == CallDenied(limits.next_reset(START), quota_used_up=True)
    assert limiter.used_calls(VENDOR, START) == 3


def test_a_denied_call_is_not_counted(limiter: RateLimiter) -> None:
    limits = CallLimits(per_second=1)
    assert limiter.acquire(VENDOR, limits, lambda: START) is None
    assert limiter.acquire(VENDOR, limits, lambda: START) == CallDenied(START + SECOND, quota_used_up=False)
    assert limiter.used_calls(VENDOR, datetime.min.replace(tzinfo=UTC)) == 1


def test_used_calls_are_counted_from_a_timestamp_on(limiter: RateLimiter) -> None:
    for second in (0, 1, 2):
        assert limiter.acquire(VENDOR, CallLimits(), lambda: START + timedelta(seconds=second)) is None  # noqa: B023 (called at once)

    counts = [limiter.used_calls(VENDOR, START + timedelta(seconds=second)) for second in (0, 1, 2, 3)]
    assert counts == [3, 2, 1, 0]


def test_calls_before_counted_since_do_not_change_the_decision() -> None:
    limits = CallLimits(per_second=1, per_minute=3, per_day=5, day_zone="America/New_York")
    calls = [START + timedelta(minutes=minute) for minute in range(-2000, 0, 7)]
    since = VendorCalls.counted_since(limits, START)

    assert since == limits.day_start(START)
    recent = VendorCalls([call for call in calls if call >= since])
    assert len(recent.calls) < len(calls)
    assert recent.decide(limits, START) == VendorCalls(calls).decide(limits, START) is not None


def test_a_postponed_call_counts_from_its_arrival_on(limiter: RateLimiter) -> None:
    limits, late = CallLimits(per_second=2, per_day=5), START + timedelta(seconds=0.7)
    for _ in range(2):
        assert limiter.acquire(VENDOR, limits, lambda: START) is None
    limiter.postpone(VENDOR, START, late)
    limiter.postpone(VENDOR, START - timedelta(seconds=1), late)  # not recorded
    limiter.postpone("another", START, late)

    # One of the two calls returns with the window of its record, the other one with the window of its arrival.
    assert limiter.acquire(VENDOR, limits, lambda: START + SECOND) is None
    assert limiter.acquire(VENDOR, limits, lambda: START + SECOND) == CallDenied(late + SECOND, quota_used_up=False)
    assert limiter.used_calls(VENDOR, START) == 3
    assert limiter.used_calls(VENDOR, late) == 2


@pytest.mark.parametrize("failing", [0, 1])
def test_calls_are_postponed_together_or_not_at_all(limiter: RateLimiter, failing: int) -> None:
    """So the caller may try again: a move that was made would be made again, with another call of that timestamp."""
    limits, late = CallLimits(per_day=5), [START + timedelta(seconds=number) for number in (1, 2)]
    assert limiter.acquire_up_to(3, VENDOR, limits, lambda: START) == 3
    moves = [(START, to) for to in late]

    class Failing(datetime):
        """A timestamp that cannot be stored, and that no cache of texts knows."""

        __hash__ = object.__hash__

        def astimezone(self, *_: object) -> NoReturn:
            raise OSError("no disk")

    broken = [
        (call, Failing.fromisoformat(str(to)) if number == failing else to) for number, (call, to) in enumerate(moves)
    ]
    with pytest.raises(OSError, match="no disk"):
        limiter.postpone_all(VENDOR, broken)
    assert limiter.recorded(VENDOR, START).calls == (START,) * 3
    limiter.postpone_all(VENDOR, moves)
    assert limiter.recorded(VENDOR, START).calls == (START, *late)


def test_a_call_that_was_not_made_in_time_is_replaced_within_the_limits(limiter: RateLimiter) -> None:
    limits, later = CallLimits(per_second=1, per_day=2), START + SECOND
    assert limiter.acquire(VENDOR, limits, lambda: START) is None
    assert limiter.acquire(VENDOR, limits, lambda: later) is None
    # The call of another process is between.
    denied = limiter.acquire(VENDOR, limits, lambda: later, replaces=START)
    assert denied == CallDenied(later + SECOND, quota_used_up=False)
    assert limiter.acquire(VENDOR, limits, lambda: later + SECOND, replaces=START) is None
    assert limiter.used_calls(VENDOR, START) == 2
    assert limiter.used_calls(VENDOR, later + SECOND) == 1


def test_late_arrivals_are_added_within_a_limit() -> None:
    estimate = ArrivalEstimate(CallLimits(per_second=1))

    def delay(seconds: float) -> float:
        return estimate.delay(timedelta(seconds=seconds)).total_seconds()

    # The first request opens the connection; nobody knows when in this time it arrived.
    assert delay(0.2) == 0.2
    # The margin covers 20 ms; a longer way back and forth is usual here.
    assert [delay(0.2), delay(0.21), delay(0.22)] == [0, 0, 0]
    assert delay(0.25) == pytest.approx(0.05)
    # A slow response may have arrived early, or the run would slow down: a limited delay, and less each time.
    share = SECOND.total_seconds() * 0.03
    assert delay(30) == pytest.approx(0.25 + 5 * share - 0.05)
    assert delay(30) == pytest.approx(share)
    # A call far below the rate earns no more than the longest delay.
    for _ in range(100):
        delay(0.2)
    assert delay(30) == 1.0


def test_requests_are_on_time_again_after_calls_have_earned_what_was_left_out() -> None:
    estimate, usual = ArrivalEstimate(CallLimits(per_second=2)), timedelta(seconds=0.2)
    for _ in range(100):
        estimate.delay(usual)
    assert estimate.on_time
    # 2 s are earned, and a call is postponed by 1 s at most.
    assert estimate.delay(usual + timedelta(seconds=2.5)) == timedelta(seconds=1)
    on_time = []
    for _ in range(60):
        estimate.delay(usual)
        on_time.append(estimate.on_time)
    # Each call earns 31.5 ms of the other 1.5 s.
    assert on_time.index(True) == 47
    assert all(on_time[47:])


def test_a_call_whose_response_comes_after_its_token_could_be_taken_is_postponed_before() -> None:
    """Any process takes the token up to a lead before it returns."""
    estimate = ArrivalEstimate(CallLimits(per_second=1))
    estimate.delay(SECOND - timedelta(seconds=0.35))
    assert estimate.unknown() == timedelta(seconds=0.05)


def test_the_time_of_a_write_is_the_longest_of_the_newest_ones_within_a_limit() -> None:
    writes, millisecond = WriteTimes(), timedelta(milliseconds=1)
    assert writes.usual == timedelta()
    writes.add(40 * millisecond)
    writes.add(30 * millisecond)
    assert writes.usual == 40 * millisecond
    writes.add(5 * timedelta(seconds=1))
    assert writes.usual == LONGEST_LEAD
    for _ in range(20):
        writes.add(-1 * millisecond)  # the clock was set back
    assert writes.usual == timedelta()


def test_reading_creates_no_file(tmp_path: Path) -> None:
    limiter = open_sqlite(tmp_path / "new")

    assert limiter.used_calls(VENDOR, START) == 0
    assert limiter.blocked_until(VENDOR, START) is None
    assert list(tmp_path.iterdir()) == []
