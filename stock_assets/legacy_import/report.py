"""The result of an import as text, for the command line and the Dagster UI.

Belongs here: lines and rows for people. Does not belong here: the import (`importer`), printing (`cli.legacy_import`).
"""

from stock_assets.core.text import plural
from stock_assets.legacy_import.importer import ImportResult
from stock_assets.legacy_import.row_selection import Problem

_REMEDIES = {
    "symbol not in the universe": "add it to the universe file (with a last_session if delisted) and import again",
    "outside the partitions": "set STOCK_ASSETS_FIRST_SESSION to an earlier day and import again",
    "dated after it was written": "if the files were copied without their times, state when they were written: "
    "--fetched-at",
    "session not closed yet": "import again after the market close",
}
_FILES_SHOWN = 20


def format_unreadable(found: ImportResult) -> list[str]:
    """Format the files and the symbols that are not imported at all."""
    lines = [f"{file.place} cannot be read, and none of its rows is imported: {file.text}" for file in found.unreadable]
    more = [f"and {plural(len(lines) - _FILES_SHOWN, 'more file')}"] if len(lines) > _FILES_SHOWN else []
    return [*lines[:_FILES_SHOWN], *more, *(f"{symbol.text}; no bar of it is imported" for symbol in found.rejected)]


def format_skipped_rows(found: ImportResult) -> list[str]:
    """Format which rows are not imported and why, with an example of each kind."""
    contradictions = [
        f"{row.symbol} {row.session}: {row.older.place} has {row.older.text}; {row.newer.place}, written later, "
        f"has {row.newer.text} and is imported"
        for row in found.contradictions
    ]
    return [*map(_format_problem, found.problems), *contradictions]


def format_totals(found: ImportResult) -> str:
    """Format all counts in one line."""
    tally = found.tally
    return (
        f"{found.label}: {plural(found.files, 'file')}, {plural(tally.rows, 'row')}: {tally.repeated:,} repeated, "
        f"{tally.contradicted:,} contradicted by a later row, {tally.before_close:,} written before the market close "
        "and replaced by a later row."
    )


def symbol_rows(found: ImportResult) -> list[dict[str, str]]:
    """Return a table row for each symbol."""
    return [
        {
            "Symbol": row.symbol,
            "New bars": f"{row.bars:,}",
            "First session": str(row.first or ""),
            "Last session": str(row.last or ""),
            "Before market close": f"{row.before_close:,}",
            "Already stored": f"{row.already_stored:,}",
        }
        for row in found.symbols
    ]


def _format_problem(problem: Problem) -> str:
    dates = f", {problem.dates[0]} to {problem.dates[1]}" if problem.dates else ""
    remedy = next((text for reason, text in _REMEDIES.items() if problem.reason.startswith(reason)), "")
    return (
        f"{plural(problem.rows, 'row')} not imported, {problem.reason}{dates}; the first is {problem.first.place}: "
        f"{problem.first.text}{f'. What to do: {remedy}' if remedy else ''}"
    )
