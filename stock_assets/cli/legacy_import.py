"""What the command `takeover` does before a run, and how it prints what it found.

Belongs here: its arguments as the package takes them, and printing. Does not belong here: finding, and the words
(`ingest.takeover`), the run afterwards (`cli`).
"""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table as Grid

from stock_assets.core.clock import utc_now
from stock_assets.legacy_import import report
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.locations import Form
from stock_assets.legacy_import.row_selection import Bounds
from stock_assets.pipeline import Pipeline, legacy_location
from stock_assets.settings import Settings


def find_and_store(
    settings: Settings,
    pipeline: Pipeline,
    address: str,
    columns: str | None,
    written_at: datetime | None,
    *,
    store: bool,
) -> ImportResult:
    """Read what lies at an address, and store what is new of it.

    Args:
        settings: the settings.
        pipeline: the pipeline constructed from them.
        address: a folder or file, `s3://bucket/folder`, or `glue:database.table`.
        columns: of CSV files without a header line, with commas; None for those of the catalog, or the usual ones.
        written_at: when the files were written, in UTC; None to believe their own times.
        store: False to look only.
    """
    source, at = pipeline.source, utc_now()
    form = Form(tuple(name.strip().lower() for name in columns.split(",")), named=True) if columns else Form()
    bounds = Bounds(
        pipeline.universe,
        settings.first_session,
        min(source.last_session or at.date(), at.date()),
        at,
        written_at.replace(tzinfo=UTC) if written_at else None,
    )
    place = legacy_location(settings, address, form)
    return import_bars(pipeline, place, bounds, store=store)


def print_found(found: ImportResult, out: Console, err: Console) -> None:
    """Print what was found: what is wrong to the second console, what is good to the first."""
    for line in report.unreadable(found):
        err.print(line, style="red", markup=False, soft_wrap=True)
    for line in report.left_out(found):
        err.print(line, style="yellow", markup=False, soft_wrap=True)
    out.print(report.sums(found), markup=False, soft_wrap=True)
    rows = report.symbols(found)
    if rows:
        grid = Grid(*rows[0])
        for column in grid.columns[1:]:
            column.justify = "right"
        for row in rows:
            grid.add_row(*row.values())
        out.print(grid)
    if found.span is None:
        out.print("There is nothing that can be taken over.")
    elif not found.sessions:
        first, last = found.span
        out.print(
            "Nothing new: all of it is stored. To load what is not published yet: "
            f"stock-assets backfill {first} {last} --missing",
            soft_wrap=True,
        )
