"""The command `import`: store the bars, print the result, load the sessions.

Belongs here: converting its arguments, printing, and which sessions are loaded. Does not belong here: reading files and
the words of the result (`stock_assets.legacy_import`), following a run (`run_progress`).
"""

from datetime import UTC, datetime

from stock_assets.cli.backfill import print_rejected
from stock_assets.cli.output import print_error, print_grid, print_line, print_warning
from stock_assets.cli.run_progress import run_and_print
from stock_assets.core.calendar import loadable_sessions, sessions_between
from stock_assets.core.clock import utc_now
from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_lines
from stock_assets.coverage.gaps import sessions_of
from stock_assets.coverage.run_specs import bridged_ranges
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import import report
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.row_selection import ImportScope
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.services import legacy_location
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
    for line in shorten_lines(report.format_unreadable(found), SYMBOLS_SHOWN):
        print_error(line)
    for line in shorten_lines(report.format_skipped_rows(found), SYMBOLS_SHOWN):
        print_warning(line)
    print_line(report.format_totals(found))
    rows = report.symbol_rows(found)
    if rows:
        print_grid(list(rows[0]), [list(row.values()) for row in rows[:SYMBOLS_SHOWN]], numbers=True)
    if len(rows) > SYMBOLS_SHOWN:
        print_line(f"and {plural(len(rows) - SYMBOLS_SHOWN, 'more symbol')}")
    if not found.importable:
        print_line("No bar can be imported.")
    elif not found.sessions:
        print_line("Nothing new: all bars are stored already.")


def load_import(settings: Settings, pipeline: Pipeline, found: ImportResult) -> bool:
    """Load the sessions with imported bars that are not published; return whether all could be loaded.

    An import that was interrupted, or that an audit rejected, is completed by the next one.
    """
    imported = {row.symbol for row in found.symbols}
    gaps = pipeline.coverage(found.importable, at=utc_now()).gaps
    unpublished = sessions_of(gap for gap in gaps if gap.stored and gap.symbol in imported)
    sessions, waiting = loadable_sessions(sorted(unpublished.union(found.sessions)), utc_now())
    if waiting:
        print_warning(waiting)
    if not sessions:
        print_line("All imported bars are published or in quarantine.")
        return True
    # The imported bars are all that these runs load: no symbol is requested from the vendor, and no other is expected.
    succeeded = [
        run_and_print(
            settings, pipeline, sessions_between(*bounds), {"request_symbols": []}, coverage_symbols=sorted(imported)
        )
        for bounds in bridged_ranges(sessions, apart=found.gaps)
    ]
    return print_rejected(pipeline, sessions) and all(succeeded)
