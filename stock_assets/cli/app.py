"""The command line: run sessions, look at what is published, go back.

Belongs here: arguments, progress and printing. Does not belong here: anything another caller could need.
"""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import dagster as dg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.table import Table as Grid

from stock_assets.backends.interface import MAINTENANCE
from stock_assets.cli.legacy_import import find_and_store, print_found
from stock_assets.core.calendar import format_ranges, sessions_between
from stock_assets.core.errors import StockAssetsError
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, Table
from stock_assets.coverage.missing import Missing, find_missing
from stock_assets.coverage.run_specs import bridged_ranges
from stock_assets.ingest.quota import read_quota
from stock_assets.legacy_import.locations import DEFAULT_COLUMNS
from stock_assets.maintenance.maintenance import maintain as maintain_all
from stock_assets.orchestration.build import build_definitions, retention_policy
from stock_assets.orchestration.instance.code_location import write_workspace
from stock_assets.orchestration.jobs.maintenance import delete_old_runs
from stock_assets.orchestration.runs import RunResult, local_instance, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Daily stock prices: fetched, audited, then published.",
)
# Into a pipe or a file, 80 columns would cut the values.
_out = Console(width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True)

_PARTITIONED_ASSETS = 4
_PREVIEW_ROWS = 1000


@app.command()
def backfill(
    first: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="First day, YYYY-MM-DD.")],
    last: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Last day, YYYY-MM-DD.")],
    *,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only the sessions of which readers lack something, in few runs.")
    ] = False,
) -> None:
    """Fetch, stage, audit and publish all sessions between two days, as one run."""
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    sessions = sessions_between(first.date(), last.date())
    if not sessions:
        raise typer.BadParameter(f"there is no trading session from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    _out.print(f"[bold]{pipeline.source.label}[/]: {len(sessions)} sessions, {sessions[0]} to {sessions[-1]}")
    found = _find_missing(pipeline, sessions) if missing else None
    ranges = found.ranges if found else [(sessions[0], sessions[-1])]
    succeeded = [_run(settings, pipeline, sessions_between(*bounds)) for bounds in ranges]
    if not all(succeeded):
        raise typer.Exit(code=1)
    _print_summary(pipeline)
    if found and found.rejected:
        _err.print(
            f"Rejected and still missing: {', '.join(map(str, found.rejected))}. Audits rejected these sessions, and "
            "their bars have not changed since. Deliver corrected bars as a file, or change the limits.",
            style="red",
            soft_wrap=True,
        )
        raise typer.Exit(code=1)


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A folder or file, s3://bucket/folder, or glue:database.table.")],
    *,
    columns: Annotated[
        str | None,
        typer.Option(help=f"Fields of CSV files without a header line; default: {','.join(DEFAULT_COLUMNS)}."),
    ] = None,
    fetched_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d"], help="When the files were written (UTC); default: as they say."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken over.")] = False,
    publish: Annotated[bool, typer.Option(help="Load what was taken over, through all audits.")] = True,
) -> None:
    """Take over the CSV, JSON or Parquet files of an earlier pipeline."""
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    found = find_and_store(settings, pipeline, source, columns, fetched_at, store=not dry_run)
    print_found(found, _out, _err)
    if dry_run or not found.sessions:
        return
    later = f"stock-assets backfill {found.sessions[0]} {found.sessions[-1]} --missing"
    if not publish:
        _out.print(f"Stored, not published: {later}", soft_wrap=True)
        return
    # The vendor is not asked: what was taken over is all that this run is about.
    ranges = bridged_ranges(found.sessions, apart=found.gaps)
    succeeded = [_run(settings, pipeline, sessions_between(*bounds), {"request_symbols": []}) for bounds in ranges]
    if not all(succeeded):
        _err.print(f"The bars are stored. To load the sessions that no audit refuses: {later}", soft_wrap=True)
        raise typer.Exit(code=1)
    _print_summary(pipeline)


@app.command("summary")
def summary_command() -> None:
    """Show what is published, a row per symbol, and where it lies."""
    _print_summary(Pipeline.from_settings(Settings.from_env()))


@app.command()
def query(
    select: Annotated[str, typer.Argument(help='A SELECT, such as "select * from published.daily_prices limit 5".')],
    *,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV to standard output.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file instead.")] = None,
) -> None:
    """Run a SELECT over the published tables."""
    rows = Pipeline.from_settings(Settings.from_env()).query(select)
    if parquet is not None:
        pa.parquet.write_table(rows, parquet)
        _err.print(f"{rows.num_rows} rows written to {parquet}")
    elif csv:
        pa.csv.write_csv(rows, sys.stdout.buffer)
    else:
        _print_rows(rows)


@app.command()
def tables(name: Annotated[str, typer.Argument(help="One of them, for its columns.")] = "") -> None:
    """List the published tables and views, or the columns of one."""
    found = Pipeline.from_settings(Settings.from_env()).relations()
    if not name:
        grid = Grid("Name", "Kind", "Rows", "What it is")
        for relation in found:
            grid.add_row(relation.name, relation.kind, f"{relation.rows:,}", relation.description)
        _out.print(grid)
        return
    chosen = [relation for relation in found if relation.name == name]
    if not chosen:
        raise typer.BadParameter(f"there is no {name}; there are {', '.join(relation.name for relation in found)}")
    grid = Grid("Column", "Type", "Meaning", title=chosen[0].name)
    for column in chosen[0].columns:
        grid.add_row(column.name, column.type, column.meaning)
    _out.print(grid)


@app.command()
def report(
    output: Annotated[Path | None, typer.Option(help="File to write; default: served/report.html of the data.")] = None,
) -> None:
    """Draw what is published into one HTML file, and print its path."""
    # Altair takes half a second to import; the other commands do without.
    from stock_assets.serve.report.store import write_report  # noqa: PLC0415

    settings = Settings.from_env()
    file = output or settings.root / "served" / "report.html"
    size = write_report(Pipeline.from_settings(settings), file)
    _err.print(f"{size / 1e6:.1f} MB; open it in any browser, no network needed:")
    sys.stdout.write(f"{file.absolute()}\n")


@app.command()
def history(
    table: Annotated[str, typer.Argument(help="A published table.")] = DAILY_PRICES.full_name,
) -> None:
    """List the versions of a published table, newest first."""
    grid = Grid(
        Column("Snapshot", no_wrap=True),
        "Committed (UTC)",
        "Rows",
        "Added",
        "Removed",
        "Sessions asked for",
        "",
    )
    for version in Pipeline.from_settings(Settings.from_env()).backend.warehouse.history(_published(table)):
        own = version.properties
        grid.add_row(
            str(version.snapshot_id),
            f"{version.committed_at:%Y-%m-%d %H:%M:%S}",
            f"{version.rows:,}",
            own.get("added", ""),
            own.get("removed", ""),
            f"maintenance: {own[MAINTENANCE]}"
            if version.is_maintenance
            else f"{own.get('start_date', '')} to {own.get('end_date', '')}",
            "current" if version.is_current else "",
        )
    _out.print(grid)


@app.command()
def rollback(
    snapshot: Annotated[int, typer.Argument(help="A snapshot shown by `history`.")],
    table: Annotated[str, typer.Argument(help="A published table.")] = DAILY_PRICES.full_name,
) -> None:
    """Make an earlier version of a published table the one that readers see."""
    Pipeline.from_settings(Settings.from_env()).backend.warehouse.rollback(_published(table), snapshot)
    _out.print(f"{table} is now at snapshot {snapshot}; `stock-assets history` shows the way back.")


@app.command()
def maintain() -> None:
    """Compact, let old versions expire and sweep up now, as the weekly job does."""
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    checks = build_definitions(settings, pipeline=pipeline).resolve_asset_graph().asset_check_keys
    with local_instance(settings) as instance:
        at, retention = datetime.now(UTC), retention_policy(settings)
        done = maintain_all(pipeline.backend, retention, at)
        deleted = delete_old_runs(instance, checks, before=at - retention.runs)
    grid = Grid(*done.rows[0])
    for row in done.rows:
        grid.add_row(*map(str, row.values()))
    _out.print(grid)
    _out.print(
        f"{done.loads_dropped} old loads dropped, {done.incomplete_loads} leftovers removed, {deleted} runs deleted."
    )


@app.command()
def quota() -> None:
    """Show the vendor's calls spent and left, and how the last requests of each symbol ended."""
    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    source, state = pipeline.source, read_quota(pipeline)
    if source.terms.limits.unlimited:
        _out.print(f"{source.label}: its answers cost no calls.")
    else:
        grid = Grid("Calls per", "Spent", "Left", "Allowed", title=source.label)
        for limit in state.allowances:
            allowed = ["any", "any"] if limit.allowed is None else [str(limit.left), str(limit.allowed)]
            grid.add_row(limit.per, str(limit.spent), *allowed)
        _out.print(grid)
        _out.print(f"The next quota day begins at {state.next_reset:%Y-%m-%d %H:%M} UTC.")
    if state.blocked_until is not None:
        _out.print(f"The vendor said that no calls are left: nothing is asked until {state.blocked_until:%H:%M} UTC.")
    requests = Grid("Symbol", "RequestResult for", "When (UTC)", "Outcome", "Calls", "Detail", title="Last requests")
    for symbol, newest in state.newest.items():
        for kind, fetch in newest.items():
            if fetch is not None:
                when = f"{fetch.fetched_at:%Y-%m-%d %H:%M}"
                requests.add_row(symbol, kind, when, fetch.outcome, str(fetch.calls), escape(fetch.detail))
    _out.print(requests)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000) -> None:
    """Open the Dagster UI and daemon on the same instance that `backfill` uses."""
    settings = Settings.from_env()
    with local_instance(settings):
        workspace = write_workspace(settings.instance_dir)
    environment = {**os.environ, "DAGSTER_HOME": str(settings.instance_dir)}
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-p", str(port)]
    os.execve(command[0], command, environment)  # noqa: S606 (fixed arguments, no shell wanted)


def main() -> None:
    """Run the command line; errors raised on purpose are printed without a traceback."""
    try:
        app()
    except StockAssetsError as error:
        _err.print(f"{type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def _find_missing(pipeline: Pipeline, sessions: list[date]) -> Missing:
    """Find the missing sessions and print them."""
    found = find_missing(pipeline, sessions, at=datetime.now(UTC))
    for session, audits in found.rejected.items():
        _err.print(
            f"{session} is left out: {', '.join(audits)} refused its bars, and they are the same still. Bring "
            "corrected ones as a file, change the limits, or run it by itself to see why",
            style="yellow",
            soft_wrap=True,
        )
    if found.unavailable:
        why = found.unavailable[0].reason
        _err.print(f"{len(found.unavailable)} bars are out of reach: {why}", style="yellow", soft_wrap=True)
    none = "only rejected sessions" if found.rejected else "nothing"
    _out.print(f"Missing: {format_ranges(found.sessions) or none}; runs: {len(found.ranges)}.", soft_wrap=True)
    return found


def _run(settings: Settings, pipeline: Pipeline, sessions: list[date], raw: Mapping[str, object] | None = None) -> bool:
    """Run some sessions and print how it ended; tell whether it succeeded."""
    result = _follow(settings, pipeline, sessions, raw)
    _print_findings(result)
    for failure in result.failures:
        _err.print(failure, style="red", markup=False, soft_wrap=True)
    if result.changed_tables:
        _out.print(f"Published: {', '.join(result.changed_tables)}.")
    elif result.success:
        _out.print("Nothing changed: the same rows are published already, no new snapshot was made.")
    return result.success


def _follow(
    settings: Settings, pipeline: Pipeline, sessions: list[date], raw: Mapping[str, object] | None
) -> RunResult:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_err) as progress:
        task = progress.add_task("starting", total=_PARTITIONED_ASSETS * len(sessions))

        def show(event: dg.DagsterEvent) -> None:
            if event.is_step_start:
                progress.update(task, description=str(event.step_key).replace("__", "/"))
            elif event.is_step_materialization and event.partition is not None:
                progress.advance(task)

        return run_sessions(settings, pipeline, sessions[0], sessions[-1], on_event=show, raw=raw)


def _print_findings(result: RunResult) -> None:
    for check in result.findings:
        style = "red" if check.blocking and check.severity is dg.AssetCheckSeverity.ERROR else "yellow"
        _err.print(f"{check.check_name}: {check.description}", style=style, markup=False, soft_wrap=True)


def _print_summary(pipeline: Pipeline) -> None:
    grid = Grid("Symbol", "Rows", "First session", "Last session", "Quarantined", "Last close", "Avg price 90 d")
    for column in grid.columns[1:]:
        column.justify = "right"
    for row in pipeline.summary():
        grid.add_row(
            row.symbol,
            f"{row.row_count:,}",
            str(row.first_session or ""),
            str(row.last_session or ""),
            str(row.quarantined),
            f"{row.last_close:,.2f}" if row.last_close is not None else "",
            f"{row.avg_price_90d:,.2f}" if row.avg_price_90d is not None else "",
        )
    _out.print(grid)
    _out.print(f"published.daily_prices: {pipeline.backend.warehouse.location(DAILY_PRICES)}", soft_wrap=True)
    _out.print(f"Source: {pipeline.source.label}. Prices in USD.")


def _print_rows(rows: pa.Table) -> None:
    grid = Grid(*rows.column_names)
    for row in rows.slice(0, _PREVIEW_ROWS).to_pylist():
        grid.add_row(*(_text(value) for value in row.values()))
    _out.print(grid)
    shown = min(rows.num_rows, _PREVIEW_ROWS)
    _out.print(
        f"{rows.num_rows} rows" + ("" if shown == rows.num_rows else f", the first {shown} shown; --csv gives all")
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _published(name: str) -> Table:
    for table in PUBLISHED_TABLES:
        if table.full_name == name:
            return table
    known = " and ".join(table.full_name for table in PUBLISHED_TABLES)
    raise typer.BadParameter(f"{name} is not a published table; there are {known}")
