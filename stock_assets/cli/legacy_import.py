"""Store the bars for the command `import` before its runs, and print the result.

Belongs here: converting its arguments, and printing. Does not belong here: reading files, and the words of the result
(`stock_assets.legacy_import`), the runs afterwards (`load`).
"""

from datetime import UTC, datetime

from stock_assets.cli.output import print_error, print_grid, print_line, print_warning
from stock_assets.core.clock import utc_now
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import import report
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.row_selection import ImportScope
from stock_assets.pipeline import Pipeline, legacy_location
from stock_assets.settings import Settings


def import_files(
    settings: Settings,
    pipeline: Pipeline,
    address: str,
    columns: str | None,
    written_at: datetime | None,
    *,
    store: bool,
) -> ImportResult:
    """Read the files at an address, and store the bars that are new.

    Args:
        settings: the settings.
        pipeline: the pipeline constructed from them.
        address: a folder or file, `s3://bucket/folder`, or `glue:database.table`.
        columns: fields of CSV files without a header line, separated by commas; None for those of the catalog, or the
            default ones.
        written_at: when the files were written, in UTC; None for the time of each file.
        store: False for a dry run.
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


def print_import(found: ImportResult) -> None:
    """Print the result: problems to standard error, the rest to standard output."""
    for line in report.format_unreadable(found):
        print_error(line)
    for line in report.format_skipped_rows(found):
        print_warning(line)
    print_line(report.format_totals(found))
    rows = report.symbol_rows(found)
    if rows:
        print_grid(list(rows[0]), [list(row.values()) for row in rows], numbers=True)
    if found.span is None:
        print_line("No bar can be imported.")
    elif not found.sessions:
        first, last = found.span
        print_line(
            "Nothing new: all bars are stored already. To load what is not published yet: "
            f"stock-assets backfill {first} {last} --missing"
        )
