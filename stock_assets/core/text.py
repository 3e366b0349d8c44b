"""Rows as a Markdown table, for metadata that people read in the UI."""

from collections.abc import Mapping, Sequence


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
