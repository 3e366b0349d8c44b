"""The call budget: never more than the plan allows, whoever asks, and never slower than it must be."""

import multiprocessing
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.homes.interfaces import CallBudget, CallLimits, CallRefused
from stock_assets.homes.local.budget import SqliteBudget
from stock_assets.ingest.calls import utc_now
from stock_assets_tests.support.clock import FakeClock
from stock_assets_tests.support.live import utc

VENDOR = "a vendor"
START = utc("2024-03-01 22:00")


@pytest.fixture
def budget(tmp_path: Path) -> CallBudget:
    return SqliteBudget(tmp_path / "ledger.db")


def spend(budget: CallBudget, limits: CallLimits, clock: FakeClock, calls: int) -> list[datetime]:
    """Make some calls as fast as allowed; give the moments."""
    made: list[datetime] = []
    while len(made) < calls:
        refused = budget.charge(VENDOR, limits, clock.now)
        if refused is None:
            made.append(clock.now())
        else:
            assert not refused.day_spent
            clock.sleep((refused.until - clock.now()).total_seconds())
    return made


def most_in_a_window(moments: list[datetime], window: timedelta) -> int:
    """Count the fullest window of that length, wherever it begins."""
    return max(sum(start <= moment < start + window for moment in moments) for start in moments)


def test_the_pace_is_the_limit_and_no_slower(budget: CallBudget) -> None:
    clock = FakeClock(START)
    made = spend(budget, CallLimits(per_second=1, per_minute=5), clock, 20)

    # The first five take a second each (four pauses); the last five can begin three minutes after the first.
    assert made[-1] - made[0] == timedelta(minutes=3, seconds=4)
    assert most_in_a_window(made, timedelta(minutes=1)) == 5
    assert most_in_a_window(made, timedelta(seconds=1)) == 1


def test_two_runs_together_keep_the_pace(tmp_path: Path) -> None:
    clock, limits = FakeClock(START, participants=2), CallLimits(per_minute=5)
    made: list[list[datetime]] = [[], []]

    def run(number: int) -> None:
        try:
            made[number] = spend(SqliteBudget(tmp_path / "ledger.db"), limits, clock, 10)
        finally:
            clock.leave()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    together = sorted(made[0] + made[1])
    assert len(together) == 20
    assert most_in_a_window(together, timedelta(minutes=1)) == 5
    assert together[-1] - together[0] == timedelta(minutes=3)


def _spend_for_real(path: Path, calls: int) -> None:
    """Make some calls by the machine's clock, in a process of its own."""
    budget, limits, made = SqliteBudget(path), CallLimits(per_second=10), 0
    while made < calls:
        refused = budget.charge(VENDOR, limits, utc_now)
        made += refused is None
        if refused is not None:
            threading.Event().wait(max(0.0, (refused.until - utc_now()).total_seconds()))


def test_processes_share_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_spend_for_real, args=(path, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=30)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT called_at FROM calls").fetchall()
    moments = sorted(datetime.fromisoformat(row[0]) for row in rows)
    assert len(moments) == 30
    assert most_in_a_window(moments, timedelta(seconds=1)) <= 10
    assert timedelta(seconds=2) <= moments[-1] - moments[0] < timedelta(seconds=3)


def test_the_last_call_of_the_day_goes_to_one_of_many(tmp_path: Path) -> None:
    limits, path = CallLimits(per_day=25), tmp_path / "ledger.db"
    for _ in range(24):
        assert SqliteBudget(path).charge(VENDOR, limits, lambda: START) is None
    got: list[CallRefused | None] = []

    def take() -> None:
        got.append(SqliteBudget(path).charge(VENDOR, limits, lambda: START))

    threads = [threading.Thread(target=take, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert sum(refused is None for refused in got) == 1
    assert SqliteBudget(path).spent(VENDOR, limits.day_start(START)) == 25


def test_a_quota_day_ends_at_midnight_of_its_zone(budget: CallBudget) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    assert budget.charge(VENDOR, limits, lambda: START) is None

    refused = budget.charge(VENDOR, limits, lambda: utc("2024-03-02 04:59"))

    assert refused == CallRefused(utc("2024-03-02 05:00"), day_spent=True)
    assert budget.charge(VENDOR, limits, lambda: refused.until) is None


@pytest.mark.parametrize(("day", "hours"), [("2024-03-10", 23), ("2024-11-03", 25), ("2024-07-04", 24)])
def test_a_quota_day_may_have_23_or_25_hours(day: str, hours: int) -> None:
    limits = CallLimits(per_day=1, day_zone="America/New_York")
    noon = utc(f"{day} 17:00")
    assert limits.next_reset(noon) - limits.day_start(noon) == timedelta(hours=hours)
    assert limits.quota_day(limits.day_start(noon)) == limits.quota_day(limits.next_reset(noon)) - timedelta(days=1)


def test_calls_can_be_kept_for_something_else(budget: CallBudget) -> None:
    limits = CallLimits(per_day=5)
    taken = [budget.charge(VENDOR, limits, lambda: START, keep=3) for _ in range(3)]
    assert [refused is None for refused in taken] == [True, True, False]
    assert budget.charge(VENDOR, limits, lambda: START) is None


def test_a_restart_forgets_nothing_and_vendors_are_apart(tmp_path: Path) -> None:
    limits = CallLimits(per_day=1)
    assert SqliteBudget(tmp_path / "ledger.db").charge(VENDOR, limits, lambda: START) is None
    again = SqliteBudget(tmp_path / "ledger.db")
    assert again.charge(VENDOR, limits, lambda: START) is not None
    assert again.charge("another", limits, lambda: START) is None


def test_what_the_vendor_closes_stays_closed_until_then(budget: CallBudget) -> None:
    limits, until = CallLimits(per_day=25), START + timedelta(hours=1)
    budget.close(VENDOR, until)

    assert budget.charge(VENDOR, limits, lambda: START) == CallRefused(until, day_spent=True)
    assert budget.closed_until(VENDOR, START) == until
    assert budget.spent(VENDOR, START) == 0
    assert budget.charge(VENDOR, limits, lambda: until) is None
    assert budget.closed_until(VENDOR, until) is None


def test_a_clock_set_back_holds_no_call_for_longer_than_its_window(budget: CallBudget) -> None:
    limits = CallLimits(per_minute=1)
    assert budget.charge(VENDOR, limits, lambda: START) is None
    earlier = START - timedelta(days=1)
    refused = budget.charge(VENDOR, limits, lambda: earlier)
    assert refused is not None
    assert refused.until == earlier + timedelta(minutes=1)


def test_a_refused_call_is_not_charged(budget: CallBudget) -> None:
    limits = CallLimits(per_second=1)
    assert budget.charge(VENDOR, limits, lambda: START) is None
    assert budget.charge(VENDOR, limits, lambda: START) == CallRefused(START + timedelta(seconds=1), day_spent=False)
    assert budget.spent(VENDOR, datetime.min.replace(tzinfo=UTC)) == 1
