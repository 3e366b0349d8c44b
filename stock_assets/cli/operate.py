"""Commands that operate the pipeline: `rollback`, `maintain`, `quota`, `alert-test`, `ui` and its `live-page`.

Belongs here: arguments and printing. Does not belong here: what an operation does (`maintenance`, `backends`,
`orchestration`).
"""

import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.interruption import Interrupted
from stock_assets.cli.output import print_error, print_grid, print_left_out, print_line, print_warning
from stock_assets.cli.read import DEFAULT_TABLE, published_table

if TYPE_CHECKING:
    from stock_assets.ingest.quota import Quota

_NAMES = 5


def rollback(
    snapshot: Annotated[int, typer.Argument(help="A snapshot listed by `stock-assets history`.")],
    table: Annotated[str, typer.Argument(help="A published table.")] = DEFAULT_TABLE,
) -> None:
    """Roll a published table back to an earlier snapshot."""
    from stock_assets.maintenance.purge import rows_of_purged_symbols
    from stock_assets.pipeline import Pipeline
    from stock_assets.serve.views import refresh_views
    from stock_assets.settings import Settings

    backend = Pipeline.from_settings(Settings.from_env()).backend
    backend.warehouse.rollback(published_table(table), snapshot)
    refresh_views(backend)
    print_line(
        f"{table} is now at snapshot {snapshot}. To undo this, roll back to a snapshot of `stock-assets history`."
    )
    for symbol in rows_of_purged_symbols(backend):
        print_warning(
            f"Rows of {symbol}, which was purged, are published again. To remove them: "
            f"stock-assets symbols purge {symbol} --yes"
        )


def maintain() -> None:
    """Compact tables, pack raw responses, expire snapshots and remove orphan files now, as the weekly job does."""
    from stock_assets.core.text import plural
    from stock_assets.maintenance.maintenance import maintain as maintain_backend
    from stock_assets.orchestration.build import build_definitions, retention_policy
    from stock_assets.orchestration.jobs.maintenance import delete_old_runs, remove_old_logs
    from stock_assets.orchestration.keys import Names
    from stock_assets.orchestration.runs import local_instance
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    pipeline, names = Pipeline.from_settings(settings), Names(settings.universe_name)
    checks = build_definitions(settings, pipeline=pipeline).resolve_asset_graph().asset_check_keys
    with local_instance(settings) as instance:
        at, retention = datetime.now(UTC), retention_policy(settings)
        done = maintain_backend(pipeline.backend, retention, at)
        deleted = delete_old_runs(instance, checks, before=at - retention.runs, names=names)
        logs = remove_old_logs(instance, before=at - retention.runs, names=names)
    print_grid(list(done.rows[0]), [[str(value) for value in row.values()] for row in done.rows])
    print_line(
        f"Removed: {plural(done.loads_dropped, 'old load')}, {plural(done.incomplete_loads, 'leftover')} of killed "
        f"runs, {plural(deleted, 'old run')}, {plural(logs, 'log')} of old runs. "
        f"Packed: {plural(done.responses_packed, 'raw response')}."
    )


def quota(*, every: Annotated[bool, typer.Option("--all", help="Print the requests of all symbols.")] = False) -> None:
    """Show the vendor's calls, used and left, and the last requests; of more than 50 symbols, rare failures first."""
    from stock_assets.ingest.quota import read_quota
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    pipeline = Pipeline.from_settings(Settings.from_env())
    source, state = pipeline.source, read_quota(pipeline)
    if source.terms.limits.unlimited:
        print_line(f"{source.label}: requests to this source use no calls.")
    else:
        rows = []
        for limit in state.allowances:
            left, allowed = ("any", "any") if limit.allowed is None else (str(limit.remaining), str(limit.allowed))
            rows.append((limit.per, str(limit.used), left, allowed))
        print_grid(("Calls per", "Used", "Left", "Allowed"), rows, title=source.label)
        print_line(f"The quota resets at {state.next_reset:%Y-%m-%d %H:%M} UTC.")
    if state.blocked_until is not None:
        print_line(
            "The vendor reported that no calls are left: no request is sent before "
            f"{state.blocked_until:%Y-%m-%d %H:%M} UTC."
        )
    _print_last_requests(state, every=every)


def _print_last_requests(state: "Quota", *, every: bool) -> None:
    """Print the last requests of each symbol, then each reason of failed requests once, with its symbols.

    Of more than 50 symbols the failed requests come first, those with the rarest outcome before others: thousands of
    requests that wait for the quota hide no unknown symbol.
    """
    from collections import Counter

    from stock_assets.core.errors import Outcome
    from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_list
    from stock_assets.ingest.outcomes import group_reasons

    requests = [(kind, fetch) for newest in state.newest.values() for kind, fetch in newest.items() if fetch]
    is_shortened = len(state.newest) > SYMBOLS_SHOWN and not every
    count = Counter(fetch.outcome for _, fetch in requests)
    shown = requests
    if is_shortened:
        shown = sorted(requests, key=lambda one: (one[1].outcome is Outcome.OK, count[one[1].outcome]))[:SYMBOLS_SHOWN]
    rows = [
        (fetch.symbol, kind, f"{fetch.fetched_at:%Y-%m-%d %H:%M}", fetch.outcome, str(fetch.calls))
        for kind, fetch in shown
    ]
    print_grid(("Symbol", "Request", "When (UTC)", "Outcome", "Calls"), rows, title="Last requests")
    print_left_out(len(requests) - len(shown), "stock-assets quota --all")
    failed = ((fetch.symbol, fetch.outcome, fetch.detail) for _, fetch in requests if fetch.outcome is not Outcome.OK)
    reasons = group_reasons(failed)
    if is_shortened and len(reasons) > SYMBOLS_SHOWN:
        reasons.sort(key=lambda reason: count[reason.outcome])
    lines = [
        f"{reason.outcome}, {plural(len(reason.symbols), 'symbol')} ({shorten_list(reason.symbols, _NAMES)}): "
        f"{reason.detail}"
        for reason in reasons
    ]
    for line in lines if every else lines[:SYMBOLS_SHOWN]:
        print_line(line)
    if len(lines) > SYMBOLS_SHOWN and not every:
        print_line(f"and {plural(len(lines) - SYMBOLS_SHOWN, 'more reason')}; stock-assets quota --all prints all")


def alert_test() -> None:
    """Send a test alert through every configured channel, and print the result of each."""
    from stock_assets.alerts.channels import try_to_send
    from stock_assets.alerts.incident import Incident
    from stock_assets.core.clock import utc_now
    from stock_assets.core.errors import SettingsError
    from stock_assets.core.text import plural
    from stock_assets.pipeline.services import alert_channels
    from stock_assets.settings import Settings

    settings, at = Settings.from_env(), utc_now()
    channels = alert_channels(settings)
    if not channels:
        raise SettingsError(
            "No channel receives alerts: set STOCK_ASSETS_ALERT_URLS, STOCK_ASSETS_ALERT_WEBHOOK_URL or "
            "STOCK_ASSETS_ALERT_TOPIC_ARN."
        )
    test = Incident(
        kind="test",
        subject=at.isoformat(),
        title="stock_assets: test alert",
        facts={"reason": "stock-assets alert-test was run; nothing failed"},
        link=str(settings.ui_url),
    )
    failed = 0
    for channel in channels:
        failure = try_to_send(channel, test.message(at))
        if failure:
            failed += 1
            print_error(failure)
        else:
            print_line(f"{channel.name}: sent")
    if failed:
        print_error(f"{plural(failed, 'channel')} of {len(channels)} did not receive the alert.")
        raise typer.Exit(code=1)


def ui(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    page_port: Annotated[int, typer.Option(help="Port of the live page; the next ones for more universes.")] = 3080,
) -> None:
    """Open the Dagster UI and daemon on the same instance that `backfill` uses, and a page with current charts."""
    from stock_assets.orchestration.instance.code_location import write_workspace
    from stock_assets.orchestration.instance.ui_lock import hold_ui_lock
    from stock_assets.orchestration.runs import local_instance
    from stock_assets.settings import BackendName, Settings, environment_variable

    universes = Settings.all_from_env()
    settings = universes[0]
    with local_instance(settings):
        workspace = write_workspace(settings.instance_dir)
    hold_ui_lock(settings.instance_dir)
    for number, each in enumerate(universes if settings.backend is BackendName.LOCAL else []):
        # The page is a process of its own, which ends with this one: `execve` replaces the program, not the process.
        page = [sys.executable, "-m", "stock_assets", f"--universe={each.universe_name}"]
        subprocess.Popen([*page, "live-page", "--port", str(page_port + number)])  # noqa: S603 (no shell, checked name)
    environment = {**os.environ, "DAGSTER_HOME": str(settings.instance_dir)}
    if "ui_url" not in settings.model_fields_set:
        # Alerts link to the page that this command opens.
        environment[environment_variable("ui_url")] = f"http://localhost:{port}"
    # Dagster suggests `dg dev`, a command of a package for developers that is not installed with this one.
    no_hint = ("-W", "ignore:Function `dev_command` is superseded")
    command = [sys.executable, *no_hint, "-m", "dagster", "dev", "-w", str(workspace), "-p", str(port)]
    os.execve(command[0], command, environment)  # noqa: S606 (fixed arguments, no shell needed)


def live_page(port: Annotated[int, typer.Option(help="Port of the page; 0 for any free one.")] = 3080) -> None:
    """Serve the report with current data on this machine, until the process that started this one ends."""
    from stock_assets.pipeline import Pipeline
    from stock_assets.serve.report.live import HOST, listen, serve_while_parent_runs
    from stock_assets.settings import Settings

    try:
        listening = listen(port)
    except OSError as error:
        print_error(
            f"The live page is not served: port {port} of {HOST}: {error.strerror}. Choose another --page-port."
        )
        raise typer.Exit(1) from error
    settings = Settings.from_env()
    of = f" of {settings.universe_name}" if settings.universe_name else ""
    print_line(f"Live page with charts{of}: http://{HOST}:{listening.getsockname()[1]}")
    # An interruption is the usual end of the page.
    with suppress(Interrupted):
        serve_while_parent_runs(Pipeline.from_settings(settings), listening)
