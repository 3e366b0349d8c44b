"""Formatting of messages: Markdown tables for the Dagster UI, and short extracts.

Belongs here: formatting that several packages share. Does not belong here: the text of a message.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_EXTRACT = 120
SYMBOLS_SHOWN = 50
"""Most symbols, or rows or lines about symbols, in a message, an event or a check result; the others are counted.

Dagster keeps events for ever. Without a limit its folder would grow with the symbols of all sessions.
"""
_UNSAFE = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, bytes that are not UTF-8, line separators."""


def first_line(text: str) -> str:
    """Return the first line of a text, at most 120 characters, for a message."""
    return text.strip().splitlines()[0][:_EXTRACT] if text.strip() else ""


def escape_name(name: str) -> str:
    """Return the name of a file in one line of text that every program can display; most names stay as they are."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSAFE else char for char in name
    )


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """Return a count with its noun: "1 run", "2 runs", "1,200 runs"."""
    return f"{count:,} {noun if count == 1 else plural_noun or f'{noun}s'}"


def shorten_list(names: Sequence[str], most: int) -> str:
    """Return the first names, separated by commas, and the number of the others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def shorten_lines(lines: Sequence[str], most: int, *, total: int = 0) -> list[str]:
    """Return the first lines, and a line with the number of the others.

    Args:
        lines: the lines.
        most: number of lines to return.
        total: number of all lines, if `lines` has only the first ones.
    """
    more = max(total, len(lines)) - most
    return [*lines[:most], *([f"and {more:,} more"] if more > 0 else [])]


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a question that names the known name most similar to an unknown one; another text if none is similar."""
    closest = get_close_matches(name, list(known), n=1)
    return f"Did you mean {closest[0]}?" if closest else otherwise


def markdown_table(rows: Sequence[Mapping[str, object]], *, total: int = 0, most: int = SYMBOLS_SHOWN) -> str:
    """Format rows with equal keys as a Markdown table; floats get four decimals, None an empty cell.

    Args:
        rows: the rows.
        total: number of all rows, if `rows` has only the first ones.
        most: number of rows in the table; the others are counted below it.
    """
    if not rows:
        return "nothing"
    header, more = list(rows[0]), max(total, len(rows)) - min(len(rows), most)
    lines = [header, ["---"] * len(header), *([_text(row[name]) for name in header] for row in rows[:most])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\nand {more:,} more" if more else table


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value).replace("|", "\\|")
