"""Text for people: Markdown tables for the Dagster UI, and short extracts.

Belongs here: formatting that several packages share. Does not belong here: the words of a message.
"""

from collections.abc import Mapping, Sequence

_EXTRACT = 120


def first_line(text: str) -> str:
    """Return the first line of a text, at most 120 characters, for a message."""
    return text.strip().splitlines()[0][:_EXTRACT] if text.strip() else ""


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """Return a count with its noun: "1 run", "2 runs", "1,200 runs"."""
    return f"{count:,} {noun if count == 1 else plural_noun or f'{noun}s'}"


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """Write rows with equal keys as a table; doubles to four decimals, None as nothing."""
    if not rows:
        return "nothing"
    header = list(rows[0])
    lines = [header, ["---"] * len(header), *([_text(row[name]) for name in header] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value).replace("|", "\\|")
