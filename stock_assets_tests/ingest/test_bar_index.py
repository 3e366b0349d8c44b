"""The symbols with the same bars, found without a comparison with each symbol."""

from datetime import date, timedelta

from stock_assets.ingest.bar_index import BarIndex, Bars

FIRST = date(2024, 1, 2)


def bars(*closes: float) -> Bars:
    """Return one bar per day."""
    return {FIRST + timedelta(days=number): (close, close) for number, close in enumerate(closes)}


def test_symbols_with_enough_equal_bars_are_similar() -> None:
    index = BarIndex()
    index.add("S01", bars(1, 2, 3, 4, 5))
    index.add("S02", bars(1, 2, 9, 9, 9))
    index.add("S03", bars(9, 1, 2, 3, 4))
    index.add("S03", bars(9, 1, 2, 3, 4))

    assert index.similar(bars(1, 2, 3, 4, 5), 3) == {"S01"}
    assert index.similar(bars(1, 2, 3, 4, 5), 2) == {"S01", "S02"}
    assert index.similar(bars(9, 1, 2, 3, 4), 5) == {"S03"}
    assert index.similar({}, 1) == set()


def test_bars_that_are_added_later_count_with_the_earlier_ones() -> None:
    index = BarIndex()
    index.add("S01", bars(1, 2))
    index.add("S01", bars(7, 7, 3))
    assert index.similar(bars(1, 2, 3), 3) == {"S01"}
