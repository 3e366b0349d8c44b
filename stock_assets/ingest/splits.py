"""Split events as the relation that staging joins: the cumulative factor of each range of days.

Belongs here: the exact arithmetic of cumulative factors. Does not belong here: requesting splits (`split_requests`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, zip_longest
from math import ceil, floor, prod
from operator import mul

import pyarrow as pa

from stock_assets.core.universe import Listing, Universe
from stock_assets.core.vendor_facts import Split

_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("ex_date", pa.date32()),
        pa.field("next_ex_date", pa.date32()),
        pa.field("split_ratio", pa.float64()),
        pa.field("split_factor", pa.float64()),
    ]
)


_ROUNDED_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("ex_date", pa.date32()),
        pa.field("split_ratio", pa.float64()),
        pa.field("ratio_text", pa.string()),
        pa.field("exact_ratio", pa.float64()),
        pa.field("exact_text", pa.string()),
    ]
)
_SEVERAL = 2
_ROUND_NUMBERS = (1000, 500, 100, 50, 10, 5, 1)
_FEWEST_DIGITS = 100
"""A ratio of three digits is wrong by at most 0.5%."""

_SIMPLE = 10
"""A ratio that is a fraction with a denominator up to this one is exact."""


def split_table(splits: Mapping[str, Sequence[Split]], universe: Universe | None = None) -> pa.Table:
    """Return the relation `splits`: split_factor applies from ex_date to the day before next_ex_date.

    The factor is the product of all ratios so far. Ratios are multiplied as decimals, since binary fractions would make
    the factor depend on their order (a ratio such as 1.2530 has no exact double).

    Args:
        splits: the known splits by symbol.
        universe: the listings; the splits of a ticker that several companies used apply to their company only.
    """
    rows: list[tuple[str, date, date | None, float, float]] = []
    for symbol, events in splits.items():
        periods = universe.listings_of(symbol) if universe is not None else ()
        if not events and len(periods) < _SEVERAL:
            continue
        steps = _several_companies(events, periods) if len(periods) >= _SEVERAL else _one_company(events)
        for (day, ratio, factor), following in zip_longest(steps, steps[1:]):
            rows.append((symbol, day, following[0] if following else None, float(ratio), float(factor)))
    # From a list of dictionaries, Arrow needs longer.
    columns = zip(*rows, strict=True) if rows else ((),) * len(_SCHEMA)
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)], _SCHEMA)


_Step = tuple[date, Decimal, Decimal | Fraction]
"""First day, ratio of that day, and factor from that day on."""


def _one_company(events: Iterable[Split]) -> list[_Step]:
    ordered = sorted(events, key=lambda split: split.ex_date)
    factors = accumulate((split.ratio for split in ordered), mul)
    return [(split.ex_date, split.ratio, factor) for split, factor in zip(ordered, factors, strict=True)]


def _several_companies(events: Sequence[Split], periods: Sequence[Listing]) -> list[_Step]:
    """Return the factors of a ticker that several companies used one after the other.

    The last factor of every company is the latest factor of the newest one. So a view that divides by the symbol's
    latest factor adjusts each company's prices by its own splits only. A split outside all periods applies to none.
    """
    steps: dict[date, _Step] = {}
    one = Fraction(1)
    latest = prod((Fraction(split.ratio) for split in events if periods[-1].covers(split.ex_date)), start=one)
    for period in periods:
        own = sorted((split for split in events if period.covers(split.ex_date)), key=lambda split: split.ex_date)
        factor = latest / prod((Fraction(split.ratio) for split in own), start=one)
        begin = period.first_session or date.min
        steps[begin] = begin, Decimal(1), factor
        for split in own:
            factor *= Fraction(split.ratio)
            steps[split.ex_date] = split.ex_date, split.ratio, factor
    return list(steps.values())


def rounded_split_table(splits: Mapping[str, Sequence[Split]]) -> pa.Table:
    """Return the relation `rounded_splits`: the splits whose ratio is rounded to fewer than three digits."""
    rows = [
        {
            "symbol": symbol,
            "ex_date": split.ex_date,
            "split_ratio": float(split.ratio),
            "ratio_text": f"{split.ratio:f}",
            "exact_ratio": float(exact),
            "exact_text": f"{exact.numerator}:{exact.denominator}",
        }
        for symbol, events in splits.items()
        for split in events
        if (exact := exact_ratio(split.ratio)) is not None
    ]
    return pa.Table.from_pylist(rows, schema=_ROUNDED_SCHEMA)


def exact_ratio(ratio: Decimal) -> Fraction | None:
    """Return the ratio that was most likely rounded to fewer than three digits, or None if none was.

    Companies choose round numbers: of the ratios 1:n that are rounded to the given one, 1:190 is likelier than 1:187.
    Without such an n, the likeliest ratio is the one with the smallest numbers, such as 2:3 for 0.67.
    """
    _, digits, exponent = ratio.as_tuple()
    if not isinstance(exponent, int) or exponent >= 0 or int("".join(map(str, digits))) >= _FEWEST_DIGITS:
        return None
    given, half = Fraction(ratio), Fraction(10) ** exponent / 2
    if given.numerator == 1 or given.denominator <= _SIMPLE:
        return None
    lowest, highest = ceil(1 / (given + half)), floor(1 / (given - half)) if given > half else 0
    for step in _ROUND_NUMBERS:
        multiples = range(-(-lowest // step) * step, highest + 1, step)
        if multiples:
            return Fraction(1, min(multiples, key=lambda n: abs(Fraction(1, n) - given)))
    simple = next((q for q in range(1, _SIMPLE) if abs(Fraction(round(given * q), q) - given) <= half), None)
    return Fraction(round(given * simple), simple) if simple else None
