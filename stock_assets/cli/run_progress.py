"""Following a run that the command line started: progress, findings and the result.

Belongs here: what is printed while a run is under way and when it has ended. Does not belong here: starting runs
(`orchestration.runs`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import dagster as dg
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from stock_assets.cli.interruption import Interrupted
from stock_assets.cli.output import err, print_error, print_line, print_warning
from stock_assets.core.text import plural, shorten_list
from stock_assets.loads.audit_files import AuditKind, audit_names
from stock_assets.orchestration.runs import RunOptions, RunResult, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

_PARTITIONED_ASSETS = 4
_SAMPLE_ROWS = 3
_NAMES_SHOWN = 5


def run_and_print(
    settings: Settings,
    pipeline: Pipeline,
    sessions: Sequence[date],
    raw: Mapping[str, object] | None = None,
    *,
    coverage_symbols: Sequence[str] | None = None,
) -> bool:
    """Run some sessions and print the result; return whether the run succeeded.

    Args:
        settings: the settings.
        pipeline: the pipeline constructed from them.
        sessions: the sessions, in order.
        raw: configuration of the step that writes `raw/daily_prices`.
        coverage_symbols: symbols that count for the coverage of a session; None for every listed symbol.
    """
    result = _follow(settings, pipeline, sessions, RunOptions(raw or {}, coverage_symbols))
    if result.interrupted:
        raise Interrupted
    # The command prints all rejected sessions after its runs, with the same reasons and remedies.
    excluding = audit_names(AuditKind.SESSION)
    print_findings([check for check in result.findings if check.check_name not in excluding])
    for failure in result.failures:
        print_error(failure)
    if result.changed_tables:
        print_line(f"Published: {', '.join(result.changed_tables)}.")
    elif result.success:
        print_line("Nothing changed: the same rows are published already, and no snapshot was added.")
    return result.success


def print_findings(findings: Sequence[dg.AssetCheckEvaluation]) -> None:
    """Print what checks found; checks that found the same, such as symbols without a bar, are printed together."""
    grouped: dict[tuple[bool, str], list[str]] = {}
    for check in findings:
        blocks = bool(check.blocking) and check.severity is dg.AssetCheckSeverity.ERROR
        grouped.setdefault((blocks, "\n".join(finding_lines(check))), []).append(check.check_name)
    for (blocks, text), names in grouped.items():
        (print_error if blocks else print_warning)(f"{shorten_list(names, _NAMES_SHOWN)}: {text}")


def finding_lines(check: dg.AssetCheckEvaluation) -> Iterator[str]:
    """Write what a check found, without its name: the count, the first rows with symbol and session, and what to do."""
    sample = check.metadata.get("sample")
    rows = [record.data for record in sample.records] if isinstance(sample, dg.TableMetadataValue) else []
    bad_rows = check.metadata.get("bad rows")
    if rows and isinstance(bad_rows, dg.IntMetadataValue) and bad_rows.value is not None:
        acknowledged = check.metadata.get("acknowledged")
        more = f", {acknowledged.value} acknowledged" if acknowledged is not None else ""
        yield f"{plural(bad_rows.value, 'bad row')}{more}"
    else:
        yield check.description or "failed"
    for row in rows[:_SAMPLE_ROWS]:
        place = " ".join(str(row[name]) for name in ("symbol", "trade_date") if row.get(name))
        yield f"  {place}: {row.get('detail', '')}" if place else f"  {row.get('detail', '')}"
    if len(rows) > _SAMPLE_ROWS:
        yield "  ..."
    remedy = check.metadata.get("remedy")
    if remedy is not None and str(remedy.value) not in (check.description or ""):
        yield f"  What to do: {remedy.value}"


def _follow(settings: Settings, pipeline: Pipeline, sessions: Sequence[date], options: RunOptions) -> RunResult:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task("starting", total=_PARTITIONED_ASSETS * len(sessions))

        def show(event: dg.DagsterEvent) -> None:
            if event.is_step_start:
                progress.update(task, description=str(event.step_key).replace("__", "/"))
            elif event.is_step_materialization and event.partition is not None:
                progress.advance(task)

        try:
            return run_sessions(settings, pipeline, sessions[0], sessions[-1], on_event=show, options=options)
        except dg.DagsterExecutionInterruptedError:
            raise Interrupted from None
