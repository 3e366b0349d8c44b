"""The days on which two sets of split factors differ, for any splits and listings, and the records of the factors."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stock_assets.backends.interface import Backend
from stock_assets.core.universe import Listing, Universe
from stock_assets.core.vendor_facts import Split
from stock_assets.ingest.splits import split_table
from stock_assets.loads.split_factors import record_factors, recorded_factors, split_factors

DAYS = [date(2012, 3, 1) + timedelta(days=number) for number in range(20)]
RATIOS = [Decimal(ratio) for ratio in ("2", "0.5", "1", "1.2530")]
EVENTS = st.lists(st.builds(Split, st.sampled_from(DAYS[2:-2]), st.sampled_from(RATIOS)), max_size=4)
ONE_COMPANY = Universe((Listing("ON", ""),))
TWO_COMPANIES = Universe((Listing("ON", "", None, DAYS[8]), Listing("ON", "", DAYS[11])))
TABLES = st.builds(
    split_table,
    st.fixed_dictionaries({}, optional={"IBM": EVENTS, "ON": EVENTS}),
    st.sampled_from([ONE_COMPANY, TWO_COMPANIES]),
)


def joined(splits: pa.Table, symbol: str, day: date) -> float:
    """Return the factor as `sql/stage/daily_prices.sql` joins it."""
    found = [
        float(row["split_factor"])
        for row in splits.to_pylist()
        if row["symbol"] == symbol
        and row["ex_date"] <= day
        and (row["next_ex_date"] is None or day < row["next_ex_date"])
    ]
    [factor] = found or [1.0]
    return factor


@given(TABLES, TABLES)
def test_the_range_has_the_first_and_the_last_day_that_differ(one: pa.Table, other: pa.Table) -> None:
    # Before all steps and after them, too.
    days = [date.min, *DAYS, date.max]
    expected: dict[str, Sequence[date]] = {
        symbol: [day for day in days if joined(one, symbol, day) != joined(other, symbol, day)]
        for symbol in ("IBM", "ON")
    }
    found: Mapping[str, tuple[date, date]] = split_factors(one).days_that_differ(split_factors(other))

    assert found == {symbol: (differ[0], differ[-1]) for symbol, differ in expected.items() if differ}


@given(TABLES, TABLES)
def test_equal_digests_mean_equal_factors(one: pa.Table, other: pa.Table) -> None:
    equal = split_factors(one).steps == split_factors(other).steps
    assert (split_factors(one).digest == split_factors(other).digest) == equal


def test_a_record_has_all_factors(backend: Backend) -> None:
    third = Split(DAYS[7], Decimal("0.0053"))
    events = {"ON": [Split(DAYS[3], Decimal("1.2530")), third], "IBM": [third, third], "B, 'C'": [third], "NONE": []}
    factors = split_factors(split_table(events, TWO_COMPANIES))
    record_factors(backend, factors)
    record_factors(backend, factors)

    assert list(factors.steps) == ["ON", "IBM", "B, 'C'"]
    assert recorded_factors(backend, factors.digest) == factors
    assert recorded_factors(backend, split_factors(split_table({})).digest) is None


def test_the_record_of_no_splits_is_a_record(backend: Backend) -> None:
    none = split_factors(split_table({}))
    record_factors(backend, none)

    assert recorded_factors(backend, none.digest) == none
