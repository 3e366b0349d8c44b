"""The list of commands, and the program's entry point.

Belongs here: names of commands, and how an error ends the program. Does not belong here: a command (`load`, `read`,
`operate`, `aws`), the text of an error (`storage_errors`, `usage_errors`, or where it is raised).
"""

import sys
from typing import Annotated

import typer

from stock_assets.cli import acknowledge, aws, data_folder, doctor, init, load, operate, read, status, symbols
from stock_assets.cli.interruption import interruptible
from stock_assets.cli.output import print_error
from stock_assets.cli.storage_errors import storage_message
from stock_assets.cli.usage_errors import Commands
from stock_assets.core.errors import StockAssetsError
from stock_assets.core.interpreter import collect_garbage_rarely, run_and_end

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def options(
    universe: Annotated[str | None, typer.Option(help="Name of a universe, in a deployment with several.")] = None,
) -> None:
    """Load daily stock prices, read the published tables, and operate the pipeline."""
    if universe is not None:
        from stock_assets.settings import select_universe

        select_universe(universe)


app.command()(init.init)
app.command()(load.backfill)
app.command("import")(load.import_)
app.command()(read.summary)
app.command()(read.query)
app.command()(read.tables)
app.command()(read.report)
app.command()(read.history)
app.command()(acknowledge.acknowledge)
app.command()(operate.rollback)
app.command()(operate.maintain)
app.command()(data_folder.verify)
app.command()(data_folder.repair)
app.command()(data_folder.relocate)
app.command()(data_folder.migrate)
app.command()(data_folder.backup)
app.command()(data_folder.restore)
app.command()(operate.quota)
app.command()(status.status)
app.add_typer(symbols.app, name="symbols")
app.command()(doctor.doctor)
app.command()(operate.alert_test)
app.command()(operate.ui)
app.command()(operate.live_page)
app.add_typer(aws.app, name="aws")


def program() -> None:
    """Run the command line as a process of its own; the installed program and `python -m stock_assets` call this."""
    run_and_end(main)


def main() -> None:
    """Run the command line, and raise `SystemExit`.

    An error with a remedy is printed without a traceback, and the exit code is 1. After an interruption the exit code
    is 130 (SIGINT), 143 (SIGTERM) or 129 (SIGHUP).
    """
    collect_garbage_rarely()
    try:
        with interruptible():
            app()
    except StockAssetsError as error:
        print_error(str(error))
        sys.exit(1)
    except Exception as error:
        message = storage_message(error)
        if message is None:
            raise
        print_error(message)
        sys.exit(1)
