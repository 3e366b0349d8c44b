"""A simulated month of a live pipeline, with every kind of failure."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import time_machine

from stock_assets.core.calendar import sessions_between
from stock_assets.settings import Settings, SourceName
from stock_assets_tests.fakes.vendor_server import Mischief, VendorServer, csv_body
from stock_assets_tests.support.live_source import live_source, symbols
from stock_assets_tests.support.simulated_calendar import SimulatedCalendar
from stock_assets_tests.support.steps import load_range, local_backend, published_rows

FIVE = symbols(5)
FIRST, LAST = date(2025, 11, 3), date(2025, 11, 28)
OFF = {date(2025, 11, 11), date(2025, 11, 12), date(2025, 11, 13)}
"""Sessions at whose schedule the machine is off."""
LATE, REJECTED = date(2025, 11, 6), date(2025, 11, 19)


def at(day: int, hour: int) -> datetime:
    """Return a timestamp of the month."""
    return datetime(2025, 11, day, hour, tzinfo=UTC)


@pytest.mark.slow
def test_a_month_ends_with_the_ideal_table_and_no_run_or_call_too_many(server: VendorServer, tmp_path: Path) -> None:
    universe = tmp_path / "universe.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in FIVE.symbols))
    universe.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    settings = Settings(
        source=SourceName.ALPHA_VANTAGE, data_dir=tmp_path / "data", universe=universe, first_session=FIRST
    )
    with time_machine.travel(at(3, 0), tick=True) as clock:
        month = SimulatedCalendar(tmp_path, server, settings, clock)

        month.live_through(at(3, 12), at(6, 22))
        # S03 is late on the 6th, and still missing in the next two responses.
        server.respond("S03", Mischief.LATE, Mischief.LATE, Mischief.LATE, None)
        month.live_through(at(6, 22), at(11, 12))
        # The machine is off from Tuesday noon to Friday morning. The daemon then evaluates only the last missed tick,
        # which leaves the session to the catch-up sensor.
        clock.move_to(at(14, 9))
        server.last_session = date(2025, 11, 13)
        month.tick_schedule(at(13, 22))
        month.live_through(at(14, 9), at(19, 22))
        # Two of five bars are invalid: too many for one session, so its load is rejected until they are fixed.
        for symbol in ("S01", "S02"):
            server.respond(symbol, _with_invalid_bar(symbol, REJECTED), None)
        month.live_through(at(19, 22), at(30, 0))

    assert [run for run in month.runs if run[0] == "catch_up"] == [
        ("catch_up", "2025-11-06", "2025-11-06", True),  # 23:00, still late
        ("catch_up", "2025-11-06", "2025-11-06", True),  # 01:00, still late
        ("catch_up", "2025-11-06", "2025-11-06", True),  # 05:00, stored
        ("catch_up", "2025-11-11", "2025-11-13", True),  # the days without the machine
        ("catch_up", "2025-11-19", "2025-11-19", True),  # the responses of the 20th contain the fixed bars
    ]
    scheduled = [run for run in month.runs if run[0] == "schedule"]
    expected = [day for day in sessions_between(FIRST, LAST) if day not in OFF]
    assert [run[1] for run in scheduled] == [day.isoformat() for day in expected]
    assert [run[1] for run in scheduled if not run[3]] == [REJECTED.isoformat()]
    # One call for each scheduled run and symbol, one for the days without the machine, three for the late bar, and one
    # for each bar in quarantine.
    further = {"S01": 1, "S02": 1, "S03": 3}
    assert Counter(server.requested()) == Counter(
        {symbol: len(expected) + 1 + further.get(symbol, 0) for symbol in FIVE.symbols}
    )
    # Requested every Monday, by the first run that finds them six days old (with seven days, seconds would decide).
    assert Counter(server.requested("SPLITS")) == Counter(dict.fromkeys(FIVE.symbols, 4))

    ideal = local_backend(tmp_path / "ideal")
    server.last_session = LAST
    load_range(ideal, live_source(server), FIVE, FIRST, LAST)
    assert published_rows(month.backend) == published_rows(ideal)


def _with_invalid_bar(symbol: str, session: date) -> bytes:
    """Return the compact response, with a negative volume in its newest bar."""
    newest, rest = csv_body(symbol, session, "compact").split(b"\r\n", 2)[1:]
    bad = b",".join([*newest.split(b",")[:-1], b"-1"])
    header = csv_body(symbol, session, "compact").split(b"\r\n", 1)[0]
    return b"\r\n".join([header, bad, rest])
