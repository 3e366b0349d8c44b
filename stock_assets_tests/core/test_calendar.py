"""The trading calendar: compared with the days of recorded prices, and on unusual days."""

import ast
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import cast
from unittest.mock import Mock

import dagster as dg
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
    declare_closures,
    is_session,
    loadable_from,
    next_session,
    session_table,
    sessions_between,
)
from stock_assets.orchestration.partitions import partition_sessions, session_partitions
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION
from stock_assets_tests.support.dagster_internals import (
    TimeWindowPartitionsSnap,
    TimeWindowPartitionsSubset,
    deserialize_value,
    partition_loading_context,
    serialize_value,
)
from stock_assets_tests.support.exchange_calendar import FILE, library_closes, library_holidays, table

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


LIVE_FROM = date(2024, 1, 2)
LIVE = session_partitions(LIVE_FROM, None)


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
    assert keys == [day.isoformat() for day in sessions_between(LIVE_FROM, date.fromisoformat(last_key))]


@pytest.mark.parametrize(
    ("new_york_time", "last_key"),
    [
        ("2024-11-28 16:00", "2024-11-27"),
        ("2024-11-29 15:59", "2024-11-27"),
        ("2024-07-04 16:01", "2024-07-03"),
        ("2024-12-25 17:00", "2024-12-24"),
        # A holiday on a Friday, its weekend, and the Monday until the market close.
        ("2026-12-25 17:00", "2026-12-24"),
        ("2026-12-26 12:00", "2026-12-24"),
        ("2026-12-28 15:59", "2026-12-24"),
        ("2026-12-28 16:00", "2026-12-28"),
        # Good Friday, and a day of mourning.
        ("2026-04-03 16:30", "2026-04-02"),
        ("2025-01-09 17:00", "2025-01-08"),
    ],
)
def test_on_the_evening_of_a_holiday_the_next_session_has_no_partition(new_york_time: str, last_key: str) -> None:
    now = datetime.fromisoformat(new_york_time).replace(tzinfo=NEW_YORK)
    with partition_loading_context(now):
        assert LIVE.get_last_partition_key() == last_key
        assert LIVE.get_partition_keys_between_indexes(0, 9000)[-1] == last_key
        assert LIVE.get_partition_keys(current_time=now)[-1] == last_key


def test_in_two_years_a_partition_exists_exactly_from_the_regular_close() -> None:
    """Through Dagster's serialized form, which is all that its UI and its daemon have."""
    first = date(2025, 1, 2)
    snapshot = TimeWindowPartitionsSnap.from_def(session_partitions(first, None))
    received = deserialize_value(serialize_value(snapshot), TimeWindowPartitionsSnap)
    partitions = received.get_partitions_definition()  # type: ignore[no-untyped-call]  # Dagster does not annotate it
    days = [date(2025, 1, 3) + timedelta(days=n) for n in range(728)]
    closed = {day for day in days if day.isoweekday() <= 5 and not is_session(day)}
    for day in days:
        around_a_closure = any(abs(day - other) <= timedelta(days=1) for other in closed)
        for clock in (time(13, 30), time(15, 59), time(16), time(21)) if around_a_closure else (time(16),):
            now = datetime.combine(day, clock, NEW_YORK)
            with partition_loading_context(now):
                key = partitions.get_last_partition_key()
            last = [session for session in sessions_between(first, day) if loadable_from(session) <= now][-1]
            assert key == last.isoformat(), now


def test_partitions_have_the_hash_of_dagsters_class_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions, equal = session_partitions(LIVE_FROM, None), session_partitions(LIVE_FROM, None)
    usual = dg.TimeWindowPartitionsDefinition.__hash__(equal)  # type: ignore[no-untyped-call]  # as in Dagster
    text = Mock(return_value=repr(equal))
    monkeypatch.setattr(dg.TimeWindowPartitionsDefinition, "__repr__", text)

    assert partitions == equal
    assert {partitions: "found"}[equal] == "found"
    assert [hash(partitions) for _ in range(10)] == [usual] * 10
    assert text.call_count == 2


@pytest.mark.parametrize("last", [None, date(2025, 1, 8), date(2024, 12, 24)])
def test_keys_from_the_calendar_equal_those_that_dagster_computes(last: date | None) -> None:
    """The UI and the daemon compute them, around holidays, weekends, a day of mourning and early closes."""
    partitions = session_partitions(date(2024, 11, 1), last)
    # Dagster copies subsets of a subclass to its own class, such as the sessions that a run has planned.
    own = dg.TimeWindowPartitionsDefinition(
        **{name: getattr(partitions, name) for name in ("start", "end", "fmt", "cron_schedule", "timezone")},
        exclusions=[
            datetime.fromtimestamp(closed.timestamp, NEW_YORK) if isinstance(closed, tuple) else closed
            for closed in partitions.exclusions or ()
        ],
    )
    for day in (date(2024, 10, 31) + timedelta(days=number) for number in range(80)):
        now = datetime.combine(day, time(16), NEW_YORK)
        assert partitions.get_partition_keys(current_time=now) == own.get_partition_keys(current_time=now), now
    subset = partitions.empty_subset().with_partition_keys(["2024-11-01", "2024-11-04"])
    packed = serialize_value(cast("TimeWindowPartitionsSubset", subset.to_serializable_subset()))
    stored = deserialize_value(packed, TimeWindowPartitionsSubset)
    assert stored == subset
    assert type(stored.partitions_def) is dg.TimeWindowPartitionsDefinition


def test_partitions_of_a_live_source_form_one_range_of_sessions() -> None:
    """Runs over ranges and backfills: Dagster's arithmetic with keys, ranges, windows and subsets."""
    partitions = session_partitions(date(2025, 1, 2), None)
    days = [day.isoformat() for day in sessions_between(date(2025, 1, 2), date(2026, 12, 31))]
    with partition_loading_context(datetime(2027, 1, 1, tzinfo=NEW_YORK)):
        assert partitions.get_partition_keys() == days
        assert partitions.get_num_partitions() == len(days)
        assert partitions.get_partition_keys_in_range(dg.PartitionKeyRange(days[100], days[300])) == days[100:301]
        assert partitions.get_next_partition_key("2026-12-24") == "2026-12-28"
        assert [
            key for key in days if partitions.time_window_for_partition_key(key).start.date().isoformat() != key
        ] == []
        every = partitions.empty_subset().with_partition_keys(days)
        assert len(every.get_partition_key_ranges(partitions)) == 1
        # Without 50 sessions, of which the first follows a holiday and the last precedes one.
        left_out = days[days.index("2026-12-28") - 50 : days.index("2026-12-28")]
        rest = partitions.empty_subset().with_partition_keys([key for key in days if key not in left_out])
        assert len(rest.get_partition_key_ranges(partitions)) == 2
        assert list((every - rest).get_partition_keys()) == left_out
    with partition_loading_context(datetime(2026, 12, 25, 17, tzinfo=NEW_YORK)) as context:
        page = partitions.get_paginated_partition_keys(context, limit=2, ascending=False)
        assert page.results == ["2026-12-24", "2026-12-23"]


def test_a_partition_ends_at_the_regular_close_and_never_before_the_market_close() -> None:
    """In summer, in winter, and on days with an early close."""
    partitions = session_partitions(date(2023, 1, 3), None)
    for session in sessions_between(date(2023, 1, 3), date(2024, 12, 31)):
        window = partitions.time_window_for_partition_key(session.isoformat())
        assert window.end == loadable_from(session)
        assert window.end >= closing_time(session)


@pytest.fixture
def closed_days() -> Iterator[Callable[[Sequence[date]], None]]:
    yield declare_closures
    declare_closures(())


def test_a_declared_closure_is_no_session(closed_days: Callable[[Sequence[date]], None]) -> None:
    monday, tuesday, wednesday = (date(2026, 12, day) for day in (7, 8, 9))
    assert is_session(tuesday)
    closed_days([tuesday])
    assert not is_session(tuesday)
    assert sessions_between(monday, wednesday) == [monday, wednesday]
    assert next_session(monday) == wednesday
    assert contiguous_ranges([monday, wednesday]) == [(monday, wednesday)]
    with partition_loading_context(datetime(2026, 12, 8, 17, tzinfo=NEW_YORK)):
        assert session_partitions(monday, None).get_partition_keys() == ["2026-12-07"]
    closed_days([])
    assert is_session(tuesday)


def test_a_declared_closure_on_a_weekend_changes_nothing(closed_days: Callable[[Sequence[date]], None]) -> None:
    before = sessions_between(date(2026, 12, 1), date(2026, 12, 31))
    closed_days([date(2026, 12, 6), date(2026, 12, 25)])
    assert sessions_between(date(2026, 12, 1), date(2026, 12, 31)) == before


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
    assert "combine" in names
    assert names.isdisjoint({"now", "utcnow", "today", "time_ns", "localtime", "gmtime"})


def test_every_session_closes_when_the_library_says() -> None:
    """The table in the package is what `make calendar` generates from the installed library."""
    expected = library_closes()
    assert FILE.read_text(encoding="ascii") == table(expected, library_holidays()), "run `make calendar`"
    for cached in ("_special_days", "_closes", "_sessions", "closing_time"):
        getattr(sessions, cached).cache_clear()
    found = {day: closing_time(day) for day in sessions_between(CALENDAR_START, CALENDAR_END)}
    assert found == {day: datetime.combine(day, close, NEW_YORK) for day, close in expected.items()}
