"""Commands that load sessions: `backfill` and `import`.

Belongs here: their arguments. Does not belong here: which sessions are run and what is printed about them
(`backfill`), following a run (`run_progress`), reading an earlier pipeline's files (`legacy_import`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import print_error, print_line, print_summary, print_warning

if TYPE_CHECKING:
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
    again: Annotated[
        bool, typer.Option("--again", help="Request stored bars again; the newest response replaces them.")
    ] = False,
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", help="With --again: only this symbol; may be repeated.")
    ] = None,
) -> None:
    """Fetch, stage, audit and publish all sessions from one day to another, as one run."""
    from stock_assets.cli.backfill import load_missing, load_range, request_again
    from stock_assets.core.calendar import loadable_sessions, sessions_between
    from stock_assets.core.clock import utc_now
    from stock_assets.core.interpreter import use_pyarrow_without_pandas
    from stock_assets.core.text import plural
    from stock_assets.coverage.catch_up import warn_about_calls
    from stock_assets.ingest.price_requests import RequestRules
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    if missing and again:
        raise typer.BadParameter("--missing and --again exclude each other. --missing requests quarantined bars again.")
    if symbol and not again:
        raise typer.BadParameter("--symbol needs --again: without it, the missing bars of all symbols are requested.")
    use_pyarrow_without_pandas()
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    sessions = sessions_between(first.date(), last.date())
    if not sessions:
        from stock_assets.core.closed_days import why_no_session

        raise typer.BadParameter(why_no_session(first.date(), last.date()))
    names = _known_symbols(pipeline, symbol) if again else []
    closed, waiting = loadable_sessions(sessions, utc_now())
    if closed and waiting:
        print_warning(waiting)
        sessions = closed
    print_line(f"{pipeline.source.label}: {plural(len(sessions), 'session')}, {sessions[0]} to {sessions[-1]}")
    warning = warn_about_calls(pipeline, sessions, RequestRules(again=frozenset(names)), utc_now())
    if warning:
        print_warning(warning)
    if again:
        complete = request_again(settings, pipeline, sessions, names)
    else:
        complete = (load_missing if missing else load_range)(settings, pipeline, sessions)
    if not complete:
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
    from stock_assets.cli.legacy_import import import_files, load_import, print_import
    from stock_assets.core.interpreter import use_pyarrow_without_pandas
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    use_pyarrow_without_pandas()
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    found = import_files(settings, pipeline, source, columns, fetched_at, store=not dry_run)
    print_import(found)
    if dry_run or not found.importable:
        return
    if not publish:
        print_line("The bars are stored, not published. To publish them, run the import again without --no-publish.")
        return
    if not load_import(settings, pipeline, found):
        print_error("The bars are stored. Fix the cause and run the import again: it loads what is not published yet.")
        raise typer.Exit(code=1)
    print_summary(pipeline)


def _known_symbols(pipeline: "Pipeline", given: Sequence[str] | None) -> list[str]:
    """Return the given symbols, or all of the universe."""
    from stock_assets.core.text import did_you_mean, shorten_list

    known = pipeline.universe.symbols
    if not given:
        return list(known)
    names = [name.strip().upper() for name in given]
    for name in names:
        if name not in known:
            meant = did_you_mean(name, known, otherwise=f"Choose one of {shorten_list(known, 10)}.")
            raise typer.BadParameter(f"{name} is not in the universe. {meant}")
    return names
