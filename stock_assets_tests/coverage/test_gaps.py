"""The bars of a gap: which are due at a time, and how several gaps are explained."""

from datetime import UTC, date, datetime, timedelta

import pytest

from stock_assets.coverage.explain import explain_gaps
from stock_assets.coverage.gaps import AT_ONCE, SESSION, Gap, bars_of, catch_up_start, limit_sessions

DAYS = (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4))
STARTS = tuple(map(catch_up_start, DAYS))
SECOND = timedelta(seconds=1)
LATER = datetime(2024, 1, 3, 23, 30, tzinfo=UTC)
"""Half an hour after catch-up begins to handle the second session."""


def gap(symbol: str = "IBM", *, retry_at: datetime | None = AT_ONCE, reason: str = "not requested") -> Gap:
    return Gap(symbol, DAYS, stored=False, retry_at=retry_at, reason=reason)


@pytest.mark.parametrize(
    ("retry_at", "at", "due", "next_due"),
    [
        (AT_ONCE, STARTS[0] - SECOND, 0, STARTS[0]),
        (AT_ONCE, STARTS[0], 1, STARTS[1]),
        (AT_ONCE, STARTS[1], 2, STARTS[2]),
        (AT_ONCE, STARTS[2], 3, None),
        (LATER, STARTS[1], 0, LATER),
        (LATER, LATER, 2, STARTS[2]),
        (None, STARTS[2], 0, None),
    ],
)
def test_a_bar_is_due_at_the_time_of_the_retry_but_not_before_catch_up_handles_its_session(
    retry_at: datetime | None, at: datetime, due: int, next_due: datetime | None
) -> None:
    one = gap(retry_at=retry_at)
    assert one.due_sessions(at) == DAYS[:due]
    assert one.next_due(at) == next_due
    assert [bar.session for bar in bars_of([one]) if bar.due is not None and bar.due <= at] == list(DAYS[:due])


def test_bars_are_in_the_order_of_sessions_and_symbols() -> None:
    later = gap("AMD")._replace(sessions=DAYS[1:])
    found = [(bar.symbol, bar.session) for bar in bars_of([gap("IBM"), later])]
    assert found == [("IBM", DAYS[0]), ("AMD", DAYS[1]), ("IBM", DAYS[1]), ("AMD", DAYS[2]), ("IBM", DAYS[2])]
    assert limit_sessions([gap("IBM"), later], [DAYS[0]]) == [gap("IBM")._replace(sessions=DAYS[:1])]


def test_equal_reasons_of_several_sessions_and_symbols_are_one_line() -> None:
    gaps = [gap(symbol, reason=f"{symbol}: no bar of {SESSION}") for symbol in ("IBM", "AMD")]
    assert explain_gaps(gaps) == ["AMD, IBM: 2024-01-02 to 2024-01-04 (3 sessions): no bar of the session"]


def test_a_reason_that_names_one_of_its_sessions_keeps_it_for_the_others() -> None:
    lines = explain_gaps([gap(reason=f"bad bar of {DAYS[1]}")])
    assert sorted(lines) == [
        "IBM: 2024-01-02, 2024-01-04 (2 sessions): bad bar of 2024-01-03",
        "IBM: 2024-01-03: bad bar of the session",
    ]
