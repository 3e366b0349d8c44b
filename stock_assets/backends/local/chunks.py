"""Chunks of symbols, so that the rows that one statement reads fit into memory.

Belongs here: dividing symbols into ranges. Does not belong here: what a connection shows of a chunk (`connection`).

Symbols are independent of each other in everything except audits that compare them, so the chunks of a load have the
rows of the whole load, whatever their size.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from stock_assets.core.sql import literal


@dataclass(frozen=True)
class Chunk:
    """The symbols after one symbol and up to another one; None where the range has no end."""

    after: str | None = None
    up_to: str | None = None

    def has(self, symbol: str) -> bool:
        """Return whether a symbol is in the range; DuckDB compares texts in the same way."""
        return (self.after is None or symbol > self.after) and (self.up_to is None or symbol <= self.up_to)

    def of(self, select: str) -> str:
        """Return the SELECT of those rows of a SELECT whose symbol is in the range."""
        bounds = [
            f"symbol {comparison} {literal(symbol)}"
            for comparison, symbol in ((">", self.after), ("<=", self.up_to))
            if symbol is not None
        ]
        return f"SELECT * FROM ({select}) WHERE {' AND '.join(bounds)}" if bounds else select  # noqa: S608 (escaped by literal)


EVERY_SYMBOL = Chunk()


def divide(symbols: Iterable[str], rows_per_symbol: int, rows_per_chunk: int) -> list[Chunk]:
    """Divide all symbols into ranges, of which each has at most so many rows, or one symbol.

    Args:
        symbols: the known symbols; a range also has the unknown ones between.
        rows_per_symbol: the most rows of one symbol.
        rows_per_chunk: the most rows of a range.
    """
    ordered = sorted(set(symbols))
    size = max(1, rows_per_chunk // max(1, rows_per_symbol))
    ends = [ordered[number - 1] for number in range(size, len(ordered), size)]
    return [Chunk(after, up_to) for after, up_to in zip([None, *ends], [*ends, None], strict=True)]
