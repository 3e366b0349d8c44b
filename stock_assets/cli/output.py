"""Print the output of commands: the two consoles, tables, counts and errors.

Belongs here: what several commands print alike. Does not belong here: the words of one command.
"""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    import pyarrow as pa

    from stock_assets.pipeline import Pipeline

# In a pipe or a file, 80 columns would cut the values.
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)

_CLASS_NAME = re.compile(r"^stock_assets(?:\.\w+)*\.[A-Z]\w*: ")
_PREVIEW_ROWS = 1000


def print_line(text: str) -> None:
    """Print a line to standard output as it is, without colours for brackets and without line breaks."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_error(message: str) -> None:
    """Print an error in red, without the class name that Dagster puts before it."""
    err.print(_CLASS_NAME.sub("", message).strip(), style="red", markup=False, highlight=False, soft_wrap=True)


def print_warning(message: str) -> None:
    """Print a warning in yellow."""
    err.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_grid(header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "", numbers: bool = False) -> None:
    """Print rows as a table.

    Args:
        header: names of the columns.
        rows: the texts, in the order of the columns.
        title: printed above the table.
        numbers: align all columns but the first to the right.
    """
    grid = Grid(*header, title=title or None)
    for column in grid.columns[1:]:
        column.justify = "right" if numbers else "left"
    # Otherwise an identifier is cut where the table is wider than the terminal.
    grid.columns[0].no_wrap = True
    for row in rows:
        # As `Text`, brackets in a value are not taken for markup.
        grid.add_row(*map(Text, row))
    out.print(grid)


def print_rows(rows: "pa.Table") -> None:
    """Print the result of a query, at most 1,000 rows of it."""
    from stock_assets.core.text import plural

    shown = rows.slice(0, _PREVIEW_ROWS).to_pylist()
    print_grid(rows.column_names, [[_text(value) for value in row.values()] for row in shown])
    cut = "" if len(shown) == rows.num_rows else f", the first {len(shown):,} shown; --csv prints all"
    print_line(f"{plural(rows.num_rows, 'row')}{cut}")


def print_summary(pipeline: "Pipeline") -> None:
    """Print one row per published symbol, the location of the table, the source, and how to draw charts."""
    from stock_assets.core.tables import DAILY_PRICES

    header = ("Symbol", "Rows", "First session", "Last session", "Quarantined", "Last close", "90-day average")
    rows = [
        (
            row.symbol,
            f"{row.row_count:,}",
            str(row.first_session or ""),
            str(row.last_session or ""),
            str(row.quarantined),
            _price(row.last_close),
            _price(row.avg_price_90d),
        )
        for row in pipeline.summary()
    ]
    print_grid(header, rows, numbers=True)
    print_line(f"published.daily_prices: {pipeline.backend.warehouse.location(DAILY_PRICES)}")
    print_line(f"Source: {pipeline.source.label}. Prices in USD.")
    # A load does not draw the report.
    print_line("To draw charts: stock-assets report")


def _price(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
