"""The units of columns, for printing.

Belongs here: finding the unit of a column of a query by its name. Does not belong here: the units themselves
(`core.tables`, `views`), rounding (`cli.output`).
"""

from functools import cache
from itertools import chain

from stock_assets.core.tables import PUBLISHED_TABLES
from stock_assets.serve.views import VIEWS


@cache
def column_units() -> dict[str, str]:
    """Return the unit of every column name of the published tables and views that has the same unit in all of them."""
    found: dict[str, set[str]] = {}
    contracts = [*(table.columns for table in PUBLISHED_TABLES), *(view.columns for view in VIEWS.values())]
    for column in chain.from_iterable(contracts):
        found.setdefault(column.name, set()).add(column.unit)
    return {name: units.pop() for name, units in found.items() if len(units) == 1}
