"""Print the output of commands: the two consoles, tables, counts and errors.

Belongs here: what several commands print alike. Does not belong here: the words of one command.
"""

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from stock_assets.core.text import SYMBOLS_SHOWN, plural

if TYPE_CHECKING:
    import pyarrow as pa

    from stock_assets.pipeline import Pipeline
    from stock_assets.serve.query import SymbolSummary

# In a pipe or a file, 80 columns would cut the values. Without emoji: the ARN of a secret contains `:secret:`.
out = Console(width=None if sys.stdout.isatty() else 160, emoji=False)
err = Console(stderr=True, emoji=False)

_CLASS_NAME = re.compile(r"^stock_assets(?:\.\w+)*\.[A-Z]\w*: ")
_PREVIEW_ROWS = 1000
_DIGITS = {"USD": 2, "%": 2, "shares": 0, "ratio": 3}


def print_line(text: str) -> None:
    """Print a line to standard output as it is, without colours for brackets and without line breaks."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_error(message: str) -> None:
    """Print an error in red, without the class name that Dagster puts before it."""
    err.print(_CLASS_NAME.sub("", message).strip(), style="red", markup=False, highlight=False, soft_wrap=True)


def print_warning(message: str) -> None:
    """Print a warning in yellow."""
    err.print(message, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_grid(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    numbers: bool = False,
    wrap: bool = True,
) -> None:
    """Print rows as a table; if it is too wide for the terminal, one column per line. No value is ever cut.

    Args:
        header: names of the columns.
        rows: the texts, in the order of the columns.
        title: printed above the table.
        numbers: align all columns but the first to the right.
        wrap: texts may continue on the next line between words.
    """
    if _width(header, rows, wrap=wrap) > out.width:
        _print_records(header, rows, title)
        return
    grid = Grid(*header, title=title or None)
    for column in grid.columns:
        # The default would cut a word that is longer than its column.
        column.overflow = "fold"
    for column in grid.columns[1:]:
        column.justify = "right" if numbers else "left"
    # Otherwise an identifier is cut where the table is wider than the terminal.
    grid.columns[0].no_wrap = True
    for row in rows:
        # As `Text`, brackets in a value are not taken for markup.
        grid.add_row(*map(Text, row))
    out.print(grid)


def _width(header: Sequence[str], rows: Sequence[Sequence[str]], *, wrap: bool) -> int:
    """Return the number of terminal columns that a table needs; the first column is never wrapped."""
    widths = [cell_len(name) for name in header]
    for row in rows:
        for number, text in enumerate(row):
            parts = text.split() if wrap and number else text.splitlines()
            widths[number] = max(widths[number], max(map(cell_len, parts), default=0))
    return sum(widths) + 3 * len(widths) + 1


def _print_records(header: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print one column per line, as psql does with its setting `x auto`."""
    if title:
        print_line(title)
    width = max(map(cell_len, header), default=0)
    for number, row in enumerate(rows, start=1):
        print_line(f"-[ {number} ]".ljust(width + 3, "-"))
        for name, text in zip(header, row, strict=True):
            print_line(f"{name}{' ' * (width - cell_len(name))} | {text}")


def print_rows(rows: "pa.Table", limit: int | None = None) -> None:
    """Print the result of a query, rounded by unit: at most `limit` rows of it, 1,000 by default."""
    from stock_assets.core.text import plural
    from stock_assets.serve.units import column_units

    units = column_units()
    shown = rows.slice(0, _PREVIEW_ROWS if limit is None else limit).to_pylist()
    texts = [[_text(value, units.get(name, "")) for name, value in row.items()] for row in shown]
    print_grid(rows.column_names, texts, wrap=False)
    cut = "" if len(shown) == rows.num_rows else f", the first {len(shown):,} shown; --csv and --json print all"
    print_line(f"{plural(rows.num_rows, 'row')}{cut}")


def write_json(rows: "pa.Table") -> None:
    """Write rows to standard output as a JSON array with exact numbers, one row per line."""
    lines = (json.dumps(row, default=str, ensure_ascii=False) for row in rows.to_pylist())
    sys.stdout.write("[" + ",\n ".join(lines) + "]\n")


def print_left_out(count: int, command: str) -> None:
    """Print how many items of a shortened list are not printed, and the command that prints all; or nothing."""
    if count > 0:
        print_line(f"and {count:,} more; {command} prints all")


def print_summary(pipeline: "Pipeline", *, most: int | None = SYMBOLS_SHOWN, symbols: Sequence[str] = ()) -> None:
    """Print a row for each published symbol, the location of the table, the source, and how to draw charts.

    Args:
        pipeline: the pipeline.
        most: number of symbols to print, those with the highest value of traded shares; None for all.
        symbols: symbols to print, and no others; empty for all.
    """
    from stock_assets.core.tables import DAILY_PRICES
    from stock_assets.serve.query import most_traded, only_symbols

    found = pipeline.summary()
    if symbols:
        found, most = only_symbols(found, symbols), None
    shown = most_traded(found, len(found) if most is None else most)
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
        for row in shown
    ]
    print_grid(header, rows, numbers=True)
    if len(shown) < len(found):
        print_line(_not_shown(found, shown))
    print_line(f"published.daily_prices: {pipeline.backend.warehouse.location(DAILY_PRICES)}")
    print_line(f"Source: {pipeline.source.label}. Prices in USD.")
    # A load does not draw the report.
    print_line("To draw charts: stock-assets report")


def _not_shown(found: "Sequence[SymbolSummary]", shown: "Sequence[SymbolSummary]") -> str:
    """Return how many symbols are not printed, and what is unusual about some of them."""
    names = {row.symbol for row in shown}
    hidden = [row for row in found if row.symbol not in names]
    latest = max((row.last_session for row in found if row.last_session), default=None)
    late = sum(row.last_session != latest for row in hidden)
    quarantined = sum(row.quarantined > 0 for row in hidden)
    notes = [
        *([f"{late:,} of them without a bar of {latest}"] if late else []),
        *([f"{quarantined:,} {'' if late else 'of them '}with quarantined bars"] if quarantined else []),
    ]
    more = plural(len(hidden), "more symbol")
    return f"and {', '.join([more, *notes])}. To see them: stock-assets summary --all, or --symbol SYMBOL"


def _price(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _text(value: object, unit: str = "") -> str:
    """Format a value for people: prices and percentages with two digits, counts of shares without."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    # Rounding would make small values such as 0.0012 USD look like nothing.
    if value and abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:.{_DIGITS[unit]}f}" if unit in _DIGITS else f"{value:.6g}"
