"""The bounds that a statement puts on the partitions it reads, found in its text.

Belongs here: the least and the greatest value that a statement reads of one column of one table. Does not belong here:
running it (`engine`).

Only direct predicates count: a comparison with a constant in the WHERE of the table's own SELECT, or in the ON that
selects which of its rows are joined. A bound that a planner could derive from other tables does not count.
"""

from collections.abc import Iterator

from sqlglot import exp


def bounds(table: exp.Table, column: str) -> tuple[str | None, str | None]:
    """Return the least and the greatest value that a statement reads of a table's column; None without a bound."""
    lows, highs = [], []
    for low, high in (_bounds_in(part, table, column) for part in _conditions(table)):
        lows += [low] if low is not None else []
        highs += [high] if high is not None else []
    return max(lows, default=None), min(highs, default=None)


def _conditions(table: exp.Table) -> Iterator[exp.Expr]:
    """Yield the conditions that every row read of the table must meet."""
    merge = table.parent
    if isinstance(merge, exp.Merge) and merge.this is table:
        yield from _parts(merge.args["on"])
        return
    select = table.parent_select
    if select is None:
        return
    if where := select.args.get("where"):
        yield from _parts(where.this)
    for join in select.args.get("joins") or []:
        # A left join keeps rows of the left side that fail the condition; only rows of the right side must meet it.
        if (join.side != "LEFT" or join.this is table) and (condition := join.args.get("on")):
            yield from _parts(condition)


def _parts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.Paren):
        yield from _parts(condition.this)
    elif isinstance(condition, exp.And):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    else:
        yield condition


def _bounds_in(part: exp.Expr, table: exp.Table, column: str) -> tuple[str | None, str | None]:
    if not _is_column(part.this, table, column):
        return None, None
    low = high = None
    match part:
        case exp.Between():
            low, high = _constant(part.args["low"]), _constant(part.args["high"])
        case exp.GT() | exp.GTE():
            low = _constant(part.expression)
        case exp.LT() | exp.LTE():
            high = _constant(part.expression)
        case exp.EQ():
            low = high = _constant(part.expression)
        case exp.In():
            named = [_constant(value) for value in part.expressions]
            known = [value for value in named if value is not None]
            if known and len(known) == len(named):
                low, high = min(known), max(known)
    return low, high


def _is_column(side: object, table: exp.Table, column: str) -> bool:
    """Return whether one side of a comparison is this table's column; unqualified, it must be the only table."""
    if not isinstance(side, exp.Column) or side.name != column:
        return False
    if side.table:
        return side.table == table.alias_or_name
    select = table.parent_select
    return select is not None and not select.args.get("joins")


def _constant(side: exp.Expr) -> str | None:
    if isinstance(side, exp.Cast):
        side = side.this
    return side.name if isinstance(side, exp.Literal) and side.is_string else None
