"""Sessions are merged into few ranges that never contain a session to keep apart."""

from datetime import date

from stock_assets.core.calendar import sessions_between
from stock_assets.coverage.run_specs import BRIDGED_SESSIONS, bridged_ranges

YEAR = sessions_between(date(2012, 1, 3), date(2012, 12, 31))


def test_no_sessions_are_no_ranges() -> None:
    assert bridged_ranges([]) == []


def test_adjacent_sessions_are_one_range_in_any_order() -> None:
    assert bridged_ranges([YEAR[2], YEAR[0], YEAR[1]]) == [(YEAR[0], YEAR[2])]


def test_a_short_stretch_is_bridged_and_a_longer_one_is_not() -> None:
    near, far = YEAR[BRIDGED_SESSIONS + 1], YEAR[BRIDGED_SESSIONS + 2]

    assert bridged_ranges([YEAR[0], near]) == [(YEAR[0], near)]
    assert bridged_ranges([YEAR[0], far]) == [(YEAR[0], YEAR[0]), (far, far)]


def test_a_session_to_keep_apart_splits_a_range() -> None:
    assert bridged_ranges([YEAR[0], YEAR[1], YEAR[3]], apart=[YEAR[2]]) == [(YEAR[0], YEAR[1]), (YEAR[3], YEAR[3])]
