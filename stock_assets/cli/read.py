"""Commands that read published tables: `summary`, `query`, `tables`, `report` and `history`.

Belongs here: arguments and printing. Does not belong here: the statements (`serve`).
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import err, print_grid, print_line, print_rows, print_summary, write_json
from stock_assets.core.text import SYMBOLS_SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stock_assets.core.tables import Table
    from stock_assets.pipeline import Pipeline

DEFAULT_TABLE = "published.daily_prices"
"""Default of arguments that name a published table; importing its definition would cost every `--help` pyarrow."""


def summary(
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Print all symbols, not only the 50 with the highest value of traded shares.")
    ] = False,
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", help="Print only this symbol; may be repeated.")
    ] = None,
) -> None:
    """Print one row per published symbol, of the 50 that were traded most, and where the table is stored."""
    if every and symbol:
        raise typer.BadParameter("Choose one of --all and --symbol.")
    print_summary(_pipeline(), most=None if every else SYMBOLS_SHOWN, symbols=symbol or ())


def query(
    select: Annotated[str, typer.Argument(help='A SELECT, such as "select * from published.daily_prices limit 5".')],
    *,
    as_of: Annotated[
        str | None,
        typer.Option(help="Read what was published at a timestamp (UTC), or at a snapshot of `stock-assets history`."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV with exact numbers.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array with exact numbers.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file instead.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Most rows of the result; default: all, or 1,000 on the screen.")
    ] = None,
) -> None:
    """Run a SELECT over the published tables and views; the numbers on the screen are rounded by their unit."""
    if csv + json + (parquet is not None) > 1:
        raise typer.BadParameter("Choose one of --csv, --json and --parquet.")
    rows = _pipeline().query(select, as_of=as_of)
    if limit is not None and (csv or json or parquet is not None):
        rows = rows.slice(0, limit)
    if parquet is not None:
        import pyarrow.parquet

        from stock_assets.core.text import plural

        # Opened here: the error of pyarrow does not name the file.
        with parquet.open("wb") as file:
            pyarrow.parquet.write_table(rows, file)
        err.print(f"{plural(rows.num_rows, 'row')} written to {parquet}", markup=False, soft_wrap=True)
    elif csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
    elif json:
        write_json(rows)
    else:
        print_rows(rows, limit)


def tables(
    name: Annotated[str, typer.Argument(help="A table or view, such as published.daily_prices, for its columns.")] = "",
) -> None:
    """List the published tables and views, or the columns of one."""
    found = _pipeline().relations()
    if not name:
        rows = [(relation.name, relation.kind, f"{relation.rows:,}", relation.description) for relation in found]
        print_grid(("Name", "Kind", "Rows", "Description"), rows)
        return
    chosen = next((relation for relation in found if relation.name == name), None)
    if chosen is None:
        raise typer.BadParameter(_unknown(name, [relation.name for relation in found]))
    columns = [(column.name, column.type, column.meaning) for column in chosen.columns]
    print_grid(("Column", "Type", "Meaning"), columns, title=chosen.name)


def report(
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: reports/report.html in the data folder.")
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Draw only this symbol; may be repeated."),
    ] = None,
) -> None:
    """Draw the published tables into one HTML file, and print its path."""
    from stock_assets.serve.report.store import write_report
    from stock_assets.settings import Settings

    pipeline, settings = _pipeline(), Settings.from_env()
    file = output or settings.root / "reports" / "report.html"
    size = write_report(pipeline, file, symbols=symbol or ())
    err.print(f"{size / 1e6:.1f} MB. Open the file in any browser; it needs no network:", soft_wrap=True)
    sys.stdout.write(f"{file.absolute()}\n")


def history(table: Annotated[str, typer.Argument(help="A published table.")] = DEFAULT_TABLE) -> None:
    """List the snapshots of a published table, newest first."""
    rows = []
    for snapshot in _pipeline().backend.warehouse.history(published_table(table)):
        properties = snapshot.properties
        rows.append(
            (
                str(snapshot.snapshot_id),
                # With milliseconds, so that `query --as-of` accepts the timestamp and reads this snapshot.
                f"{snapshot.committed_at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                f"{snapshot.rows:,}",
                _thousands(properties.get("added", "")),
                _thousands(properties.get("removed", "")),
                _reason(properties),
                "current" if snapshot.is_current else "",
            )
        )
    print_grid(("Snapshot", "Committed (UTC)", "Rows", "Added", "Removed", "Requested sessions", ""), rows)
    if not rows:
        print_line(f"{table} has no snapshots yet. Load sessions with: stock-assets backfill FIRST LAST")


def _reason(properties: "Mapping[str, str]") -> str:
    """Return why a snapshot was committed: the sessions of a load, or something else than a load."""
    from stock_assets.backends.interface import MAINTENANCE, PURGED

    if MAINTENANCE in properties:
        return f"maintenance: {properties[MAINTENANCE]}"
    if PURGED in properties:
        return f"purge of {properties[PURGED]}"
    return f"{properties.get('start_date', '')} to {properties.get('end_date', '')}"


def published_table(name: str) -> "Table":
    """Return the published table of a name.

    Raises:
        typer.BadParameter: no published table has this name.
    """
    from stock_assets.core.tables import PUBLISHED_TABLES

    for table in PUBLISHED_TABLES:
        if table.full_name == name:
            return table
    raise typer.BadParameter(_unknown(name, [table.full_name for table in PUBLISHED_TABLES]))


def _thousands(number: str) -> str:
    return f"{int(number):,}" if number.isdecimal() else number


def _unknown(name: str, available: list[str]) -> str:
    return f"Unknown table '{name}'. Available: {', '.join(available)}"


def _pipeline() -> "Pipeline":
    from stock_assets.core.interpreter import use_pyarrow_without_pandas
    from stock_assets.pipeline.reading import pipeline_to_read
    from stock_assets.settings import Settings

    use_pyarrow_without_pandas()
    return pipeline_to_read(Settings.from_env())
