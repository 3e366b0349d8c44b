"""The generated market of the audit tests: plausible, and different from day to day and from symbol to symbol."""

from datetime import date
from itertools import combinations, pairwise

from stock_assets.core.calendar import sessions_between
from stock_assets_tests.support.scenes import calm_bar
from stock_assets_tests.support.steps import FIVE

SESSIONS = sessions_between(date(2012, 3, 1), date(2012, 6, 29))


def test_a_symbol_never_repeats_a_field_of_its_previous_bar() -> None:
    for symbol in FIVE.symbols:
        bars = [calm_bar(symbol, session).split(",") for session in SESSIONS]
        for before, after in pairwise(bars):
            assert all(old != new for old, new in zip(before, after, strict=True)), symbol


def test_a_symbol_never_has_the_same_bar_twice_and_no_two_symbols_share_a_bar() -> None:
    bars = {symbol: [calm_bar(symbol, session) for session in SESSIONS] for symbol in FIVE.symbols}

    assert all(len(set(lines)) == len(SESSIONS) for lines in bars.values())
    assert all(not set(bars[one]) & set(bars[other]) for one, other in combinations(FIVE.symbols, 2))


def test_the_same_symbol_and_session_always_have_the_same_bar() -> None:
    assert calm_bar("IBM", SESSIONS[0]) == calm_bar("IBM", SESSIONS[0])
