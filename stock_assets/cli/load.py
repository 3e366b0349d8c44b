"""Commands that load sessions: `backfill` and `import`.

Belongs here: which sessions are run, and what is printed about them. Does not belong here: following a run
(`run_progress`), reading an earlier pipeline's files (`legacy_import`).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import print_error, print_line, print_summary, print_warning

if TYPE_CHECKING:
    from stock_assets.coverage.missing_sessions import Missing
    from stock_assets.pipeline import Pipeline

_DAY = ["%Y-%m-%d"]
_DAY_OR_MINUTE = ["%Y-%m-%dT%H:%M", "%Y-%m-%d"]


def backfill(
    first: Annotated[datetime, typer.Argument(formats=_DAY, help="First day, YYYY-MM-DD.")],
    last: Annotated[datetime, typer.Argument(formats=_DAY, help="Last day, YYYY-MM-DD.")],
    *,
    missing: Annotated[
        bool, typer.Option("--missing", help="Load only sessions with missing bars, in as few runs as possible.")
    ] = False,
) -> None:
    """Fetch, stage, audit and publish all sessions from one day to another, as one run."""
    from stock_assets.cli.run_progress import run_and_print
    from stock_assets.core.calendar import sessions_between
    from stock_assets.core.text import plural
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    sessions = sessions_between(first.date(), last.date())
    if not sessions:
        raise typer.BadParameter(
            f"There is no trading session from {first:%Y-%m-%d} to {last:%Y-%m-%d}. Choose other days."
        )
    print_line(f"{pipeline.source.label}: {plural(len(sessions), 'session')}, {sessions[0]} to {sessions[-1]}")
    found = _find_missing(pipeline, sessions) if missing else None
    ranges = found.ranges if found else [(sessions[0], sessions[-1])]
    succeeded = [run_and_print(settings, pipeline, sessions_between(*bounds)) for bounds in ranges]
    if not all(succeeded):
        raise typer.Exit(code=1)
    print_summary(pipeline)
    if found and found.rejected:
        print_error(
            f"Rejected and still missing: {', '.join(map(str, found.rejected))}. Audits rejected these sessions, and "
            "their bars have not changed since. Deliver corrected bars as a file, or change the limits."
        )
        raise typer.Exit(code=1)


def import_(
    source: Annotated[str, typer.Argument(help="A folder or file, s3://bucket/folder, or glue:database.table.")],
    *,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Fields of CSV files without a header line; default: date,symbol,open,high,low,close,volume."
        ),
    ] = None,
    fetched_at: Annotated[
        datetime | None,
        typer.Option(formats=_DAY_OR_MINUTE, help="When the files were written (UTC); default: the time of each file."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be imported, and store nothing.")] = False,
    publish: Annotated[bool, typer.Option(help="Load the imported sessions, through all audits.")] = True,
) -> None:
    """Import CSV, JSON or Parquet files of an earlier pipeline."""
    from stock_assets.cli.legacy_import import import_files, print_import
    from stock_assets.cli.run_progress import run_and_print
    from stock_assets.core.calendar import sessions_between
    from stock_assets.coverage.run_specs import bridged_ranges
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    found = import_files(settings, pipeline, source, columns, fetched_at, store=not dry_run)
    print_import(found)
    if dry_run or not found.sessions:
        return
    command = f"stock-assets backfill {found.sessions[0]} {found.sessions[-1]} --missing"
    if not publish:
        print_line(f"The bars are stored, not published. To load them: {command}")
        return
    # The imported bars are all that these runs load, so no symbol is requested from the vendor.
    ranges = bridged_ranges(found.sessions, apart=found.gaps)
    succeeded = [
        run_and_print(settings, pipeline, sessions_between(*bounds), {"request_symbols": []}) for bounds in ranges
    ]
    if not all(succeeded):
        print_error(f"The bars are stored. To load the sessions that no audit rejects: {command}")
        raise typer.Exit(code=1)
    print_summary(pipeline)


def _find_missing(pipeline: "Pipeline", sessions: Sequence[date]) -> "Missing":
    """Find the sessions with missing bars, and print them."""
    from stock_assets.core.calendar import format_ranges
    from stock_assets.core.text import plural
    from stock_assets.coverage.missing_sessions import find_missing

    found = find_missing(pipeline, sessions, at=datetime.now(UTC))
    for session, audits in found.rejected.items():
        print_warning(
            f"{session} is skipped: {', '.join(audits)} rejected its bars, and they have not changed since. Deliver "
            "corrected bars as a file, change the limits, or run this session alone to see the reason."
        )
    if found.unavailable:
        print_warning(f"{plural(len(found.unavailable), 'bar')} cannot be requested: {found.unavailable[0].reason}")
    if found.sessions:
        count, runs = plural(len(found.sessions), "session"), plural(len(found.ranges), "run")
        print_line(f"Missing: {format_ranges(found.sessions)} ({count}, {runs}).")
    else:
        print_line("Missing: only rejected sessions." if found.rejected else "Missing: no sessions.")
    return found
