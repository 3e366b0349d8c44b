"""What a takeover found, in words, for the command line and for the UI.

Belongs here: lines and rows for people. Does not belong here: finding (`takeover`), printing (`cli_takeover`).
"""

from stock_assets.legacy_import.importer import ImportResult
from stock_assets.legacy_import.row_selection import Problem

_REMEDIES = {
    "symbol not in the universe": "add it to the universe file (a last_session if it is gone) and take over again",
    "outside the partitions": "set STOCK_ASSETS_FIRST_SESSION to an earlier day and take over again",
    "dated after it was written": "if files were copied without their times, say when they were written: --fetched-at",
    "session not closed yet": "take over again after the bell",
}
_MOST_SHOWN = 20


def unreadable(found: ImportResult) -> list[str]:
    """Name the files, and the symbols, of which nothing is used."""
    lines = [f"{file.place}: not readable, nothing of it is used: {file.text}" for file in found.unreadable]
    more = [f"and {len(lines) - _MOST_SHOWN} more files"] if len(lines) > _MOST_SHOWN else []
    return [*lines[:_MOST_SHOWN], *more, *(f"{one.text}; no bar of it is taken over" for one in found.rejected)]


def left_out(found: ImportResult) -> list[str]:
    """Say which rows are not taken over and why, with an example of each kind."""
    contradictions = [
        f"{one.symbol} {one.session}: {one.older.place} says {one.older.text}; {one.newer.place}, written later, "
        f"says {one.newer.text} and counts"
        for one in found.contradictions
    ]
    return [*map(_said, found.problems), *contradictions]


def sums(found: ImportResult) -> str:
    """Count everything in a line."""
    tally = found.tally
    return (
        f"{found.label}: {found.files:,} files, {tally.rows:,} rows; {tally.repeated:,} repeat another, "
        f"{tally.contradicted:,} are contradicted by a later one, {tally.before_close:,} tell of a day that a later one "
        "has whole."
    )


def symbols(found: ImportResult) -> list[dict[str, str]]:
    """Give a row for each symbol."""
    return [
        {
            "Symbol": row.symbol,
            "New bars": f"{row.bars:,}",
            "First session": str(row.first or ""),
            "Last session": str(row.last or ""),
            "Before the bell": f"{row.before_close:,}",
            "Stored already": f"{row.known:,}",
        }
        for row in found.symbols
    ]


def _said(problem: Problem) -> str:
    dates = f", {problem.dates[0]} to {problem.dates[1]}" if problem.dates else ""
    remedy = next((text for reason, text in _REMEDIES.items() if problem.reason.startswith(reason)), "")
    return (
        f"{problem.rows:,} rows left out, {problem.reason}{dates}; the first is {problem.first.place}: "
        f"{problem.first.text}{f'. What to do: {remedy}' if remedy else ''}"
    )
