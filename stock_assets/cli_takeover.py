"""What the command `takeover` does before a run, and how it shows what it found.

Belongs here: its arguments as the package takes them, and printing. Does not belong here: finding (`ingest.takeover`),
the run afterwards (`cli`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table as Grid

from stock_assets.build import build_home, build_old_place, build_source, build_universe
from stock_assets.ingest.takeover.places import Form
from stock_assets.ingest.takeover.sorting import Bounds, Example, Problem
from stock_assets.ingest.takeover.takeover import Takeover, take_over
from stock_assets.settings import Settings

_REMEDIES = {
    "symbol not in the universe": "add it to the universe file (a last_session if it is gone) and take over again",
    "outside the partitions": "set STOCK_ASSETS_FIRST_SESSION to an earlier day and take over again",
    "dated after it was written": "if files were copied without their times, say when they were written: --fetched-at",
    "session not closed yet": "take over again after the bell",
}
_MOST_SHOWN = 20


def find_and_store(
    settings: Settings, address: str, columns: str, written_at: datetime | None, *, store: bool
) -> Takeover:
    """Read what lies at an address, and store what is new of it.

    Args:
        settings: what the environment says.
        address: a folder or file, `s3://bucket/folder`, or `glue:database.table`.
        columns: of CSV files without a header line, with commas.
        written_at: when the files were written, in UTC; None to believe their own times.
        store: False to look only.
    """
    source, at = build_source(settings), datetime.now(UTC)
    form = Form(tuple(name.strip().lower() for name in columns.split(",")))
    bounds = Bounds(
        build_universe(settings),
        settings.first_session,
        min(source.last_session or at.date(), at.date()),
        at,
        written_at.replace(tzinfo=UTC) if written_at else None,
    )
    place = build_old_place(settings, address, form)
    return take_over(build_home(settings), source, place, bounds, store=store)


def print_found(found: Takeover, out: Console, err: Console) -> None:
    """Print what was found: what is wrong to the second console, what is good to the first."""
    _print_examples(err, "not readable, nothing of it is used", found.unreadable)
    for problem in found.problems:
        err.print(_said(problem), style="yellow", markup=False, soft_wrap=True)
    for one in found.contradictions:
        err.print(
            f"{one.symbol} {one.session}: {one.older.place} says {one.older.text}; {one.newer.place}, written later, "
            f"says {one.newer.text} and counts",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
    _print_examples(err, "no answer can be made of it", found.refused)
    tally = found.tally
    out.print(
        f"{found.label}: {found.files} files, {tally.rows:,} rows; {tally.repeated:,} repeat another, "
        f"{tally.contradicted:,} are contradicted by a later one, {tally.premature:,} tell of a day that a later one "
        "has whole.",
        soft_wrap=True,
    )
    grid = Grid("Symbol", "New bars", "First session", "Last session", "Before the bell", "Stored already")
    for column in grid.columns[1:]:
        column.justify = "right"
    for row in found.symbols:
        grid.add_row(
            row.symbol,
            f"{row.bars:,}",
            str(row.first or ""),
            str(row.last or ""),
            f"{row.premature:,}",
            f"{row.known:,}",
        )
    out.print(grid)
    if not found.sessions and found.span is not None:
        first, last = found.span
        out.print(
            f"Nothing new: all of it is stored. To load what is not published yet: "
            f"stock-assets backfill {first} {last} --missing",
            soft_wrap=True,
        )


def _said(problem: Problem) -> str:
    dates = f", {problem.dates[0]} to {problem.dates[1]}" if problem.dates else ""
    remedy = next((text for reason, text in _REMEDIES.items() if problem.reason.startswith(reason)), "")
    return (
        f"{problem.rows:,} rows left out, {problem.reason}{dates}; the first is {problem.first.place}: "
        f"{problem.first.text}{f'. What to do: {remedy}' if remedy else ''}"
    )


def _print_examples(err: Console, what: str, examples: Sequence[Example]) -> None:
    for example in examples[:_MOST_SHOWN]:
        err.print(f"{example.place}: {what}: {example.text}", style="red", markup=False, soft_wrap=True)
    if len(examples) > _MOST_SHOWN:
        err.print(f"and {len(examples) - _MOST_SHOWN} more", style="red")
