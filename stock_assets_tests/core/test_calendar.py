"""The trading calendar: compared with the days of recorded prices, and on unusual days."""

import ast
from datetime import UTC, date, datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_assets.core import calendar as sessions
from stock_assets.core.calendar import (
    CALENDAR_END,
    CALENDAR_START,
    NEW_YORK,
    closing_time,
    contiguous_ranges,
    is_session,
    next_session,
    session_table,
    sessions_between,
)
from stock_assets.orchestration.partitions import partition_sessions, session_partitions
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION

RECORDED_DAYS = [date.fromisoformat(day) for day in import_module("bokeh_sampledata.stocks").IBM["date"]]
"""An independent source: IBM traded in every session of these 13 years."""

CLOSURES = [
    *(date(2001, 9, day) for day in range(11, 15)),
    date(2004, 6, 11),
    date(2007, 1, 2),
    date(2012, 10, 29),
    date(2012, 10, 30),
]


def test_sessions_equal_the_days_of_recorded_prices() -> None:
    assert len(RECORDED_DAYS) == 3270
    assert sessions_between(FIRST_SESSION, LAST_SESSION) == RECORDED_DAYS


def test_partitions_of_the_recorded_range_equal_its_sessions() -> None:
    keys = session_partitions(FIRST_SESSION, LAST_SESSION).get_partition_keys()
    assert keys == [day.isoformat() for day in RECORDED_DAYS]


def test_partitions_of_the_recorded_range_do_not_grow() -> None:
    partitions = session_partitions(FIRST_SESSION, LAST_SESSION)
    later = datetime(2030, 1, 2, 22, tzinfo=UTC)
    assert partitions.get_partition_keys(current_time=later)[-1] == "2013-03-01"


@pytest.mark.parametrize(
    ("first", "last", "keys"),
    [
        (date(2012, 3, 1), date(2012, 3, 1), ["2012-03-01"]),
        (date(2012, 3, 2), date(2012, 3, 5), ["2012-03-02", "2012-03-05"]),
        (date(2012, 3, 3), date(2012, 3, 5), ["2012-03-05"]),
        (date(2001, 9, 11), date(2001, 9, 17), ["2001-09-17"]),
        # The last session is the day before a closure: its partition lasts until the next market close.
        (date(2012, 10, 26), date(2012, 10, 26), ["2012-10-26"]),
        (date(2001, 9, 10), date(2001, 9, 10), ["2001-09-10"]),
    ],
)
def test_a_range_with_an_end_has_one_partition_per_session(first: date, last: date, keys: list[str]) -> None:
    assert session_partitions(first, last).get_partition_keys() == keys


LIVE = session_partitions(FIRST_SESSION, None)


@pytest.mark.parametrize(
    ("new_york_time", "last_key"),
    [
        # The key of a session exists from the regular market close on.
        ("2024-06-10 09:30", "2024-06-07"),
        ("2024-06-10 15:59", "2024-06-07"),
        ("2024-06-10 16:00", "2024-06-10"),
        ("2024-06-10 23:59", "2024-06-10"),
        # Weekend.
        ("2024-06-07 16:00", "2024-06-07"),
        ("2024-06-08 12:00", "2024-06-07"),
        ("2024-06-09 23:59", "2024-06-07"),
        # Early close at 13:00: the key exists from the regular market close on.
        ("2024-07-03 13:01", "2024-07-02"),
        ("2024-07-03 16:00", "2024-07-03"),
        ("2024-12-24 13:30", "2024-12-23"),
        ("2024-12-24 16:00", "2024-12-24"),
        # The day before a holiday, and the holiday until the time of the regular market close.
        ("2024-11-27 16:00", "2024-11-27"),
        ("2024-11-28 15:59", "2024-11-27"),
        ("2024-01-12 16:00", "2024-01-12"),
        ("2024-01-15 15:59", "2024-01-12"),
        # A day of mourning.
        ("2025-01-08 16:00", "2025-01-08"),
        ("2025-01-09 15:59", "2025-01-08"),
        # Daylight saving time begins, and ends.
        ("2024-03-08 16:00", "2024-03-08"),
        ("2024-03-11 15:59", "2024-03-08"),
        ("2024-03-11 16:00", "2024-03-11"),
        ("2024-11-01 16:00", "2024-11-01"),
        ("2024-11-04 15:59", "2024-11-01"),
        ("2024-11-04 16:00", "2024-11-04"),
    ],
)
def test_the_last_partition_of_a_live_source(new_york_time: str, last_key: str) -> None:
    now = datetime.fromisoformat(new_york_time).replace(tzinfo=NEW_YORK)
    keys = LIVE.get_partition_keys(current_time=now)
    assert keys[-1] == last_key
    assert keys == [day.isoformat() for day in sessions_between(FIRST_SESSION, date.fromisoformat(last_key))]


@pytest.mark.parametrize(
    ("new_york_time", "early_key"),
    [("2024-11-28 16:00", "2024-11-29"), ("2024-07-04 16:01", "2024-07-05"), ("2024-12-25 17:00", "2024-12-26")],
)
def test_on_a_holiday_the_key_of_the_next_session_exists_a_day_early(new_york_time: str, early_key: str) -> None:
    """Dagster counts excluded ticks too. So fetching fails before the market close, even if the key exists."""
    now = datetime.fromisoformat(new_york_time).replace(tzinfo=NEW_YORK)
    assert LIVE.get_partition_keys(current_time=now)[-1] == early_key
    assert closing_time(date.fromisoformat(early_key)) > now


def test_a_partition_window_begins_at_or_after_the_market_close() -> None:
    """In summer, in winter, and on days with an early close."""
    partitions = session_partitions(date(2012, 1, 3), date(2013, 1, 31))
    for key in partitions.get_partition_keys():
        window = partitions.time_window_for_partition_key(key)
        assert window.start >= closing_time(date.fromisoformat(key))


@pytest.mark.parametrize("day", CLOSURES)
def test_unscheduled_closures_are_known(day: date) -> None:
    assert day.isoweekday() <= 5
    assert not is_session(day)
    assert day not in sessions_between(day, day)


@pytest.mark.parametrize(
    ("session", "utc"),
    [
        (date(2012, 1, 3), "2012-01-03 21:00"),
        (date(2012, 7, 2), "2012-07-02 20:00"),
        # The weeks in which New York changes its clocks.
        (date(2012, 3, 9), "2012-03-09 21:00"),
        (date(2012, 3, 12), "2012-03-12 20:00"),
        (date(2012, 11, 2), "2012-11-02 20:00"),
        (date(2012, 11, 5), "2012-11-05 21:00"),
        # Before 2007 summer time began in April.
        (date(2006, 3, 31), "2006-03-31 21:00"),
        (date(2006, 4, 3), "2006-04-03 20:00"),
        # Early closes.
        (date(2012, 7, 3), "2012-07-03 17:00"),
        (date(2012, 11, 23), "2012-11-23 18:00"),
        (date(2012, 12, 24), "2012-12-24 18:00"),
        (date(2024, 11, 29), "2024-11-29 18:00"),
    ],
)
def test_closing_time_is_the_market_close_in_utc(session: date, utc: str) -> None:
    assert closing_time(session) == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert closing_time(session).tzinfo is UTC


@pytest.mark.parametrize(
    ("session", "following"),
    [
        (date(2012, 3, 1), date(2012, 3, 2)),
        (date(2012, 3, 2), date(2012, 3, 5)),
        (date(2001, 9, 10), date(2001, 9, 17)),
        (date(2012, 12, 31), date(2013, 1, 2)),
    ],
)
def test_next_session_skips_days_without_trading(session: date, following: date) -> None:
    assert next_session(session) == following


def test_session_table_has_the_close_in_utc_without_a_zone() -> None:
    rows = session_table([date(2012, 7, 2), date(2012, 7, 3)]).to_pylist()
    assert rows == [
        {"session": date(2012, 7, 2), "closes_at": datetime(2012, 7, 2, 20)},  # noqa: DTZ001 (UTC by contract)
        {"session": date(2012, 7, 3), "closes_at": datetime(2012, 7, 3, 17)},  # noqa: DTZ001
    ]


def test_partition_sessions_are_sorted() -> None:
    assert partition_sessions(["2012-03-02", "2012-03-01"]) == [date(2012, 3, 1), date(2012, 3, 2)]


AUTUMN_2001 = sessions_between(date(2001, 8, 20), date(2001, 10, 12))


@given(st.sets(st.sampled_from(AUTUMN_2001)).flatmap(lambda days: st.permutations(sorted(days))))
def test_contiguous_ranges_contain_exactly_the_sessions(days: list[date]) -> None:
    ranges = contiguous_ranges(days)
    assert [day for first, last in ranges for day in sessions_between(first, last)] == sorted(days)
    assert all(next_session(before[1]) < after[0] for before, after in pairwise(ranges))


def test_weekends_and_closures_do_not_split_a_range() -> None:
    assert contiguous_ranges([date(2001, 9, 17), date(2001, 9, 7), date(2001, 9, 10)]) == [
        (date(2001, 9, 7), date(2001, 9, 17))
    ]


def test_the_calendar_has_fixed_ends() -> None:
    """The default calendar ends a year from now, so that the partitions would differ from day to day."""
    assert (date(1999, 1, 1), date(2050, 12, 31)) == (CALENDAR_START, CALENDAR_END)
    days = sessions_between(date(1900, 1, 1), date(2100, 1, 1))
    assert (days[0], days[-1]) == (date(1999, 1, 4), date(2050, 12, 30))


def test_the_calendar_reads_no_clock() -> None:
    tree = ast.parse(Path(sessions.__file__).read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "session_close" in names
    assert names.isdisjoint({"now", "utcnow", "today", "time_ns", "localtime", "gmtime"})
