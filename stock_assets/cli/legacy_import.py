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
from stock_assets.legacy_import.locations import FileFormat
from stock_assets.legacy_import.row_selection import ImportScope
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
    file_format = (
        FileFormat(tuple(name.strip().lower() for name in columns.split(",")), named=True) if columns else FileFormat()
    )
    scope = ImportScope(
        pipeline.universe,
        settings.first_session,
        min(source.last_session or at.date(), at.date()),
        at,
        written_at.replace(tzinfo=UTC) if written_at else None,
    )
    place = legacy_location(settings, address, file_format)
    return import_bars(pipeline, place, scope, store=store)


def print_found(found: ImportResult, out: Console, err: Console) -> None:
    """Print what was found: what is wrong to the second console, what is good to the first."""
    for line in report.format_unreadable(found):
        err.print(line, style="red", markup=False, soft_wrap=True)
    for line in report.format_skipped_rows(found):
        err.print(line, style="yellow", markup=False, soft_wrap=True)
    out.print(report.format_totals(found), markup=False, soft_wrap=True)
    rows = report.symbol_rows(found)
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
