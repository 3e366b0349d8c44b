"""The call budget: never more than the plan allows, whoever asks, and never slower than it must be."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_assets.backends.local.rate_limiter import SqliteRateLimiter
from stock_assets.backends.rate_limiter import CallDenied, RateLimiter
from stock_assets.core.call_limits import MINUTE, SECOND, CallLimits
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.support.live_source import utc
from stock_assets_tests.support.processes import fork_server
from stock_assets_tests.support.rate_limiters import (
    START,
    VENDOR,
    BudgetCase,
    s3_case,
    spend_for_real,
    spend_the_day,
    sqlite_case,
)


@pytest.fixture(params=["sqlite", "s3"])
def budget_case(request: pytest.FixtureRequest, tmp_path: Path) -> BudgetCase:
    if request.param == "sqlite":
        return sqlite_case(tmp_path)
    return s3_case(request.getfixturevalue("aws").endpoint, tmp_path)


@pytest.fixture
def budget(budget_case: BudgetCase) -> RateLimiter:
    return budget_case.open()


def spend(budget: RateLimiter, limits: CallLimits, clock: FakeClock, calls: int) -> list[datetime]:
    """Make some calls as fast as allowed; give the moments."""
    made: list[datetime] = []
    while len(made) < calls:
        refused = budget.acquire(VENDOR, limits, clock.now)
        if refused is None:
            made.append(clock.now())
        else:
            assert not refused.quota_used_up
            clock.sleep((refused.until - clock.now()).total_seconds())
    return made


def most_in_a_window(moments: list[datetime], window: timedelta) -> int:
    """Count the fullest window of that length, wherever it begins."""
    return max(sum(start <= moment < start + window for moment in moments) for start in moments)


def test_the_pace_is_the_limit_and_no_slower(budget: RateLimiter) -> None:
    clock = FakeClock(START)
    made = spend(budget, CallLimits(per_second=1, per_minute=5), clock, 20)

    # The first five are a second apart (four pauses); the last five can begin three minutes after the first.
    assert made[-1] - made[0] == 3 * MINUTE + 4 * SECOND
    assert most_in_a_window(made, MINUTE) == 5
    assert most_in_a_window(made, SECOND) == 1


@settings(deadline=None, max_examples=25)
@given(
    per_second=st.integers(1, 3),
    per_minute=st.none() | st.integers(1, 8),
    pauses=st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.04, 20.0, 61.0]), min_size=12, max_size=12),
)
def test_no_window_5_percent_longer_than_the_vendors_has_too_many_calls(
    tmp_path_factory: pytest.TempPathFactory, per_second: int, per_minute: int | None, pauses: list[float]
) -> None:
    """The vendor counts requests as they arrive, and latency varies."""
    budget, clock = SqliteRateLimiter(tmp_path_factory.mktemp("ledger") / "ledger.db"), FakeClock(START)
    limits, made = CallLimits(per_second=per_second, per_minute=per_minute), list[datetime]()
    for pause in pauses:
        clock.sleep(pause)
        made += spend(budget, limits, clock, 1)

    assert most_in_a_window(made, timedelta(seconds=1.05)) <= per_second
    assert per_minute is None or most_in_a_window(made, timedelta(seconds=63)) <= per_minute


def test_a_vendor_that_counts_arrivals_in_sliding_windows_refuses_no_call(budget: RateLimiter) -> None:
    # Seconds between sending and arrival; sent exactly 1 s apart, these arrive down to 0.97 s apart.
    latency = [0.20, 0.174, 0.21, 0.186, 0.208, 0.206, 0.21, 0.18]
    sent = spend(budget, CallLimits(per_second=1), FakeClock(START), len(latency))
    arrived = [moment + timedelta(seconds=late) for moment, late in zip(sent, latency, strict=True)]
    assert most_in_a_window(arrived, timedelta(seconds=1)) == 1


def test_two_runs_together_keep_the_pace(budget_case: BudgetCase) -> None:
    clock, limits = FakeClock(START, participants=2), CallLimits(per_minute=5)
    made: list[list[datetime]] = [[], []]

    def run(number: int) -> None:
        try:
            made[number] = spend(budget_case.open(), limits, clock, 10)
        finally:
            clock.leave()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    together = sorted(made[0] + made[1])
    assert len(together) == 20
    assert most_in_a_window(together, MINUTE) == 5
    assert together[-1] - together[0] == 3 * MINUTE


def test_processes_share_the_budget(budget_case: BudgetCase) -> None:
    processes = [
        fork_server().Process(target=spend_for_real, args=(budget_case.open, 10), daemon=True) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    moments = budget_case.moments()
    assert len(moments) == 30
    assert most_in_a_window(moments, SECOND) <= 10
    assert timedelta(seconds=2) <= moments[-1] - moments[0] < timedelta(seconds=2 + budget_case.slack)


def test_processes_that_spend_the_day_take_what_it_has_and_no_call_more(budget_case: BudgetCase) -> None:
    pipes = [fork_server().Pipe(duplex=False) for _ in range(4)]
    processes = [
        fork_server().Process(target=spend_the_day, args=(budget_case.open, sender), daemon=True) for _, sender in pipes
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)

    assert [process.exitcode for process in processes] == [0] * 4
    assert sum(receiver.recv() for receiver, _ in pipes) == 25
    assert budget_case.moments() == [START] * 25


def test_the_last_call_of_the_day_goes_to_one_of_many(budget_case: BudgetCase) -> None:
    limits = CallLimits(per_day=25)
    for _ in range(24):
        assert budget_case.open().acquire(VENDOR, limits, lambda: START) is None
    got: list[CallDenied | None] = []

    def take() -> None:
        got.append(budget_case.open().acquire(VENDOR, limits, lambda: START))

    threads = [threading.Thread(target=take, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sum(refused is None for refused in got) == 1
    assert budget_case.open().spent(VENDOR, limits.day_start(START)) == 25


def test_a_quota_day_ends_at_midnight_of_its_zone(budget: RateLimiter) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    assert budget.acquire(VENDOR, limits, lambda: START) is None

    refused = budget.acquire(VENDOR, limits, lambda: utc("2024-03-02 04:59"))

    assert refused == CallDenied(utc("2024-03-02 05:00"), quota_used_up=True)
    assert budget.acquire(VENDOR, limits, lambda: refused.until) is None


@pytest.mark.parametrize(("day", "hours"), [("2024-03-10", 23), ("2024-11-03", 25), ("2024-07-04", 24)])
def test_a_quota_day_may_have_23_or_25_hours(day: str, hours: int) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    noon = utc(f"{day} 17:00")
    assert limits.next_reset(noon) - limits.day_start(noon) == timedelta(hours=hours)
    assert limits.quota_day(limits.day_start(noon)) == limits.quota_day(limits.next_reset(noon)) - timedelta(days=1)


def test_calls_can_be_kept_for_something_else(budget: RateLimiter) -> None:
    limits = CallLimits(per_day=5)
    taken = [budget.acquire(VENDOR, limits, lambda: START, reserve=3) for _ in range(3)]
    assert [refused is None for refused in taken] == [True, True, False]
    assert budget.acquire(VENDOR, limits, lambda: START) is None


def test_a_restart_forgets_nothing_and_vendors_are_apart(budget_case: BudgetCase) -> None:
    limits = CallLimits(per_day=1)
    assert budget_case.open().acquire(VENDOR, limits, lambda: START) is None
    again = budget_case.open()
    assert again.acquire(VENDOR, limits, lambda: START) is not None
    assert again.acquire("another", limits, lambda: START) is None


def test_what_the_vendor_closes_stays_closed_until_then(budget: RateLimiter) -> None:
    limits, until = CallLimits(per_day=25), START + timedelta(hours=1)
    budget.close(VENDOR, until)

    assert budget.acquire(VENDOR, limits, lambda: START) == CallDenied(until, quota_used_up=True)
    assert budget.blocked_until(VENDOR, START) == until
    assert budget.spent(VENDOR, START) == 0
    assert budget.acquire(VENDOR, limits, lambda: until) is None
    assert budget.blocked_until(VENDOR, until) is None


def test_a_clock_set_back_holds_no_call_for_longer_than_its_window(budget: RateLimiter) -> None:
    limits = CallLimits(per_minute=1)
    assert budget.acquire(VENDOR, limits, lambda: START) is None
    earlier = START - timedelta(days=1)
    refused = budget.acquire(VENDOR, limits, lambda: earlier)
    assert refused is not None
    assert refused.until == earlier + MINUTE


def test_a_refused_call_is_not_charged(budget: RateLimiter) -> None:
    limits = CallLimits(per_second=1)
    assert budget.acquire(VENDOR, limits, lambda: START) is None
    assert budget.acquire(VENDOR, limits, lambda: START) == CallDenied(START + SECOND, quota_used_up=False)
    assert budget.spent(VENDOR, datetime.min.replace(tzinfo=UTC)) == 1
