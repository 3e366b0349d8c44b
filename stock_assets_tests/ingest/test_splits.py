"""Split events as a relation: exact factors, each valid from its ex-date to the day before the next ex-date."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import prod

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_assets.core.universe import Listing, Universe
from stock_assets.core.vendor_facts import Split
from stock_assets.ingest.splits import exact_ratio, rounded_split_table, split_table

DAYS = [date(2012, 3, 1) + timedelta(days=number) for number in range(4)]


def split(day: date, ratio: str) -> Split:
    return Split(day, Decimal(ratio))


def test_columns_and_types_do_not_depend_on_splits() -> None:
    table = split_table({"AAPL": []})
    assert table.num_rows == 0
    assert table.schema == pa.schema(
        {
            "symbol": pa.string(),
            "ex_date": pa.date32(),
            "next_ex_date": pa.date32(),
            "split_ratio": pa.float64(),
            "split_factor": pa.float64(),
        }
    )


def test_each_split_ends_where_the_next_one_starts() -> None:
    """Independently of the order of the events and of other symbols."""
    events = {"AAPL": [split(DAYS[2], "0.5"), split(DAYS[0], "2"), split(DAYS[1], "7")], "IBM": [split(DAYS[1], "3")]}
    rows = split_table(events).to_pylist()
    names = ("symbol", "ex_date", "next_ex_date", "split_ratio", "split_factor")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("AAPL", DAYS[0], DAYS[1], 2.0, 2.0),
        ("AAPL", DAYS[1], DAYS[2], 7.0, 14.0),
        ("AAPL", DAYS[2], None, 0.5, 7.0),
        ("IBM", DAYS[1], None, 3.0, 3.0),
    ]


def test_factors_are_exact_where_doubles_would_not_be() -> None:
    """In doubles 1.253 * 3 is 3.7589999999999995, and 1.1 * 1.1 * 10 is 12.100000000000001."""
    assert 1.253 * 3 != 3.759
    assert factors("1.2530", "3") == [1.253, 3.759]
    assert factors("1.1", "1.1", "10") == [1.1, 1.21, 12.1]
    assert factors("0.1", "10") == [0.1, 1.0]


def factors(*ratios: str) -> list[float]:
    events = [split(day, ratio) for day, ratio in zip(DAYS, ratios, strict=False)]
    return [row["split_factor"] for row in split_table({"AAPL": events}).to_pylist()]


def test_the_splits_of_a_reused_ticker_apply_to_their_company_only() -> None:
    universe = Universe(
        (
            Listing("ON", "new", date(2012, 3, 10)),
            Listing("ON", "old", None, date(2012, 3, 5)),
            Listing("IBM", "", date(2012, 3, 10)),
        )
    )
    events = [
        split(date(2012, 3, 2), "2"),
        split(date(2012, 3, 7), "100"),
        split(date(2012, 3, 12), "3"),
        split(date(2012, 3, 10), "5"),
    ]
    rows = split_table({"ON": events, "IBM": events[:1]}, universe).to_pylist()
    assert [(row["ex_date"], row["next_ex_date"], row["split_ratio"], row["split_factor"]) for row in rows] == [
        (date.min, date(2012, 3, 2), 1.0, 7.5),
        (date(2012, 3, 2), date(2012, 3, 10), 2.0, 15.0),
        (date(2012, 3, 10), date(2012, 3, 12), 5.0, 5.0),
        (date(2012, 3, 12), None, 3.0, 15.0),
        # A symbol with one listing keeps all splits.
        (date(2012, 3, 2), None, 2.0, 2.0),
    ]


@given(
    old=st.dictionaries(st.dates(date(2000, 1, 1), date(2005, 1, 1)), st.integers(1, 9), max_size=3),
    new=st.dictionaries(st.dates(date(2006, 1, 1), date(2012, 1, 1)), st.integers(1, 9), max_size=3),
)
def test_every_company_ends_with_the_latest_factor_of_its_ticker(old: dict[date, int], new: dict[date, int]) -> None:
    """The views divide by the latest factor of a symbol."""
    universe = Universe((Listing("ON", "", None, date(2005, 6, 1)), Listing("ON", "", date(2006, 1, 1))))
    events = [Split(day, Decimal(ratio)) for day, ratio in (old | new).items()]
    rows = split_table({"ON": events}, universe).to_pylist()

    def factor(day: date) -> float:
        [row] = [one for one in rows if one["ex_date"] <= day and (one["next_ex_date"] or date.max) > day]
        return float(row["split_factor"])

    assert factor(date(2005, 6, 1)) == factor(date(2013, 1, 1)) == prod(new.values())
    for day in (date(2000, 1, 1), *old):
        later = prod(ratio for other, ratio in old.items() if other > day)
        assert factor(day) == float(Fraction(prod(new.values()), later))


RATIOS = st.decimals(min_value="0.0001", max_value=1000, places=4)


@given(st.dictionaries(st.dates(date(2000, 1, 1), date(2013, 1, 1)), RATIOS, min_size=1, max_size=5), st.randoms())
def test_factor_is_the_nearest_double_to_the_product_in_any_order(
    ratios: dict[date, Decimal], shuffled: object
) -> None:
    events = [Split(day, ratio) for day, ratio in ratios.items()]
    shuffled.shuffle(events)  # type: ignore[attr-defined]  # hypothesis' own Random
    for row in split_table({"AAPL": events}).to_pylist():
        so_far = [Fraction(ratio) for day, ratio in ratios.items() if day <= row["ex_date"]]
        assert row["split_factor"] == float(prod(so_far))


@pytest.mark.parametrize(
    ("ratio", "exact"),
    [
        # Fewer than three digits: the round number of shares is the likeliest.
        ("0.0053", "1/190"),
        ("0.0067", "1/150"),
        ("0.0033", "1/300"),
        ("0.0083", "1/120"),
        ("0.33", "1/3"),
        ("0.67", "2/3"),
        # Exact.
        ("0.0500", None),
        ("0.05", None),
        ("0.005", None),
        ("0.8", None),
        ("1.5", None),
        ("20.0000", None),
        ("3", None),
        # Three digits and more.
        ("0.0286", None),
        ("0.6667", None),
        ("1.2530", None),
    ],
)
def test_the_exact_ratio_of_a_rounded_one(ratio: str, exact: str | None) -> None:
    assert exact_ratio(Decimal(ratio)) == (Fraction(exact) if exact else None)


def test_only_rounded_ratios_are_in_the_relation_of_rounded_splits() -> None:
    table = rounded_split_table({"BCAN": [split(DAYS[0], "0.0053"), split(DAYS[1], "0.0500")]})
    assert table.to_pylist() == [
        {
            "symbol": "BCAN",
            "ex_date": DAYS[0],
            "split_ratio": 0.0053,
            "ratio_text": "0.0053",
            "exact_ratio": 1 / 190,
            "exact_text": "1:190",
        }
    ]
    assert rounded_split_table({}).schema == table.schema
