"""A new free key with 20 symbols, day by day, with the real schedule and sensors."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine

from stock_assets.core.calendar import sessions_between
from stock_assets.ingest.split_requests import never_received
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.real_daemon import universe_file
from stock_assets_tests.support.simulated_calendar import SimulatedCalendar
from stock_assets_tests.support.steps import load_range, local_backend, published_rows, read

TWENTY = symbols(20)
FIRST, START = date(2025, 10, 1), date(2025, 11, 3)
LATE_TABLE = "stock_assets: published.daily_prices is late"
HOURS = (0, 5, 12, 15, 22, 23)
"""Hours at which something can change: the next session is due, the quota resets, the schedule, an hour after it."""


def at(day: int, hour: int) -> datetime:
    """Return a timestamp of November 2025."""
    return datetime(2025, 11, day, hour, tzinfo=UTC)


@pytest.fixture
def calendar(server: VendorServer, tmp_path: Path) -> Iterator[SimulatedCalendar]:
    """A new pipeline, started on a Monday at 15:00 UTC, before the market close."""
    settings = Settings(
        source=SourceName.ALPHA_VANTAGE,
        data_dir=tmp_path / "data",
        universe=universe_file(tmp_path, TWENTY),
        first_session=FIRST,
    )
    with time_machine.travel(at(3, 15), tick=True) as clock:
        server.full_history = False
        yield SimulatedCalendar(tmp_path, server, settings, clock, {"full_history": False}, HOURS)


def live_and_check(calendar: SimulatedCalendar, first: int, last: int, hour: int = 0) -> None:
    """Simulate some days; at the end of each, the sessions of the days before are published for all symbols."""
    for day in range(first, last + 1):
        calendar.live_through(at(day, hour if day == first else 0), at(day, 0) + timedelta(days=1))
        expected = sessions_between(FIRST, date(2025, 11, day) - timedelta(days=1))
        missing = [session for session in expected if published(calendar)[session] != len(TWENTY.symbols)]
        assert missing == [], f"at the end of {day}: {calendar.runs[-3:]}, {list(calendar.skips.values())[-1:]}"


def published(calendar: SimulatedCalendar) -> Counter[date]:
    """Count the published symbols of each session."""
    query = "SELECT trade_date, COUNT(*) AS symbols FROM published.daily_prices GROUP BY trade_date"
    return Counter({row["trade_date"]: row["symbols"] for row in read(calendar.backend, query).to_pylist()})


def calls_per_day(server: VendorServer) -> Counter[date]:
    """Count the requests that the vendor received, by day in New York."""
    return Counter(request.received_at.astimezone(ZoneInfo("America/New_York")).date() for request in server.requests)


def expect_the_ideal_table(calendar: SimulatedCalendar, last: date) -> None:
    """Compare the table with that of a source without limits."""
    calendar.server.last_session, calendar.server.full_history = last, True
    ideal = local_backend(calendar.folder / "ideal")
    load_range(ideal, live_source(calendar.server), TWENTY, FIRST, last)
    assert published_rows(calendar.backend) == published_rows(ideal)


@pytest.mark.slow
def test_the_first_three_days_of_a_free_key(calendar: SimulatedCalendar, server: VendorServer) -> None:
    calendar.hours = (5, 15, 22, 23)
    calendar.live_through(at(3, 15), at(3, 22))
    # Five of twenty symbols could be requested, which would be too few to publish any session.
    assert (calendar.runs, server.requests, calendar.alerts) == ([], [], [])
    [reason] = calendar.skips.values()
    assert reason == (
        "S01, S02, S03, S04, S05 and 15 more of 2025-10-01 to 2025-10-31 wait for 20 calls: 5 of today's 25 can be "
        "used now (20 more are reserved for the scheduled run); the quota resets at 2025-11-04 05:00 UTC"
    )

    # S03 is late on Tuesday and follows when the quota has reset. If the run of the evening requests splits after
    # prices, it leaves one of the five calls for S03; Dagster decides about the order of the two steps.
    server.respond("S03", None, Mischief.LATE, None)
    live_and_check(calendar, 3, 5, hour=22)

    assert calendar.runs == [
        ("schedule", "2025-11-03", "2025-11-03", True),
        ("catch_up", "2025-10-01", "2025-10-31", True),  # stored bars, without a call
        ("schedule", "2025-11-04", "2025-11-04", True),
        ("catch_up", "2025-11-04", "2025-11-04", True),
        ("schedule", "2025-11-05", "2025-11-05", True),
    ]
    calls = calls_per_day(server)
    assert calls in [{date(2025, 11, 3): 25, date(2025, 11, 4): tuesday, date(2025, 11, 5): 25} for tuesday in (24, 25)]
    assert Counter(server.requested()) == Counter(dict.fromkeys(TWENTY.symbols, 3)) + Counter(["S03"])
    # Three times 20 prices and the late bar; the other calls were used for splits.
    assert len(never_received(calendar.resources["pipeline"])) == 20 - (calls.total() - 3 * 20 - 1)
    assert calendar.alerts == []
    expect_the_ideal_table(calendar, date(2025, 11, 5))


@pytest.mark.slow
def test_two_weeks_of_a_free_key(calendar: SimulatedCalendar, server: VendorServer) -> None:
    server.splits = {"S07": {"2025-11-12": "2.0000"}}
    calendar.live_through(at(3, 15), at(3, 22))
    # Bars of several symbols are late on three evenings, one of them also in the next response.
    for symbol in ("S03", "S11", "S19"):
        server.respond(symbol, None, Mischief.LATE, None)
    server.respond("S05", None, None, None, Mischief.LATE, Mischief.LATE, None)
    live_and_check(calendar, 3, 11, hour=22)

    # The machine is off from Wednesday noon to Thursday noon; then Dagster evaluates the missed tick.
    calendar.live_through(at(12, 0), at(12, 12))
    calendar.clock.move_to(at(13, 12))
    calendar.tick_schedule(at(12, 22))
    live_and_check(calendar, 13, 16, hour=12)

    assert [run for run in calendar.runs if not run[3]] == []
    assert max(calls_per_day(server).values()) <= 25
    assert never_received(calendar.resources["pipeline"]) == []
    assert [run[1] for run in calendar.runs if run[0] == "schedule"] == [
        day.isoformat() for day in sessions_between(START, date(2025, 11, 16)) if day != date(2025, 11, 12)
    ]
    # Wednesday's session was really late: the table is until the evening of Thursday.
    assert calendar.alerts == [LATE_TABLE, f"Resolved: {LATE_TABLE}"]
    print("calls per day", dict(calls_per_day(server)), "runs", len(calendar.runs))  # noqa: T201 (numbers for reports)
    expect_the_ideal_table(calendar, date(2025, 11, 14))
