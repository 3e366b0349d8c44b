"""Split events as the relation that staging joins: the cumulative factor of each range of days.

Belongs here: the exact arithmetic of cumulative factors. Does not belong here: requesting splits (`split_requests`).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import accumulate, zip_longest
from operator import mul

import pyarrow as pa

from stock_assets.sources.interface import Split

_SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("ex_date", pa.date32()),
        pa.field("next_ex_date", pa.date32()),
        pa.field("split_ratio", pa.float64()),
        pa.field("split_factor", pa.float64()),
    ]
)


def split_table(splits: Mapping[str, Sequence[Split]]) -> pa.Table:
    """Return the relation `splits`: split_factor applies from ex_date to the day before next_ex_date.

    The factor is the product of all ratios so far. Ratios are multiplied as decimals, since binary fractions would make
    the factor depend on their order (a ratio such as 1.2530 has no exact double).
    """
    rows = []
    for symbol, events in splits.items():
        ordered = sorted(events, key=lambda split: split.ex_date)
        factors: list[Decimal] = list(accumulate((split.ratio for split in ordered), mul))
        for split, factor, following in zip_longest(ordered, factors, ordered[1:]):
            rows.append(
                {
                    "symbol": symbol,
                    "ex_date": split.ex_date,
                    "next_ex_date": following.ex_date if following else None,
                    "split_ratio": float(split.ratio),
                    "split_factor": float(factor),
                }
            )
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
