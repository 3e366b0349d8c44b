"""Compare rows of two engines, whose sums over windows may differ in the last bits.

Belongs here: comparing views and panels. Does not belong here: published rows, which are equal to the last bit
(`bars.exact`).
"""

import math

import pyarrow as pa


def assert_alike(one: pa.Table, other: pa.Table) -> None:
    """Compare rows in any order, doubles to ten digits."""
    assert one.schema.names == other.schema.names
    assert one.num_rows == other.num_rows
    for left, right in zip(ordered(one), ordered(other), strict=True):
        for ours, theirs in zip(left, right, strict=True):
            if isinstance(ours, float) and isinstance(theirs, float):
                assert math.isclose(ours, theirs, rel_tol=1e-10, abs_tol=1e-12), (left, right)
            else:
                assert ours == theirs, (left, right)


def ordered(rows: pa.Table) -> list[tuple[object, ...]]:
    """Sort by all other values first, then by doubles to the digits that must agree."""
    return sorted(
        (tuple(row.values()) for row in rows.to_pylist()),
        key=lambda row: (
            [repr(value) for value in row if not isinstance(value, float)],
            [f"{value:.6g}" for value in row if isinstance(value, float)],
        ),
    )
