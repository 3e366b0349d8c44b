"""The command `acknowledge`: add, list and remove acknowledged warnings.

Belongs here: its arguments and output. Does not belong here: where acknowledgements are stored (`loads`).
"""

from datetime import datetime
from typing import Annotated

import typer

from stock_assets.cli.output import print_grid, print_line


def acknowledge(
    audit: Annotated[str | None, typer.Argument(help="Name of the warning. Without it, all are listed.")] = None,
    symbol: Annotated[str | None, typer.Argument(help="Symbol, or - for a finding of a whole session.")] = None,
    session: Annotated[datetime | None, typer.Argument(formats=["%Y-%m-%d"], help="Session, YYYY-MM-DD.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why the finding is right as it is.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Show the finding again.")] = False,
) -> None:
    """Acknowledge a warning about a symbol and session, so that it is not shown again; list acknowledged warnings."""
    from stock_assets.loads import acknowledgements
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    objects = Pipeline.from_settings(Settings.from_env()).backend.objects
    if audit is None:
        known = acknowledgements.acknowledgements(objects)
        rows = [
            (ack.audit, ack.symbol, f"{ack.session}", ack.reason, f"{ack.acknowledged_at:%Y-%m-%d}") for ack in known
        ]
        print_grid(("Warning", "Symbol", "Session", "Reason", "Acknowledged"), rows)
        return
    if symbol is None or session is None:
        raise typer.BadParameter("Name the warning, the symbol and the session: no_unexplained_jump AAPL 2000-09-29.")
    day = session.date()
    if remove:
        acknowledgements.remove(objects, audit, symbol.upper(), day)
        print_line(f"Removed: {audit} {symbol.upper()} {day}. The next load that finds it shows it again.")
        return
    added = acknowledgements.acknowledge(objects, audit, symbol.upper(), day, reason)
    print_line(f"Acknowledged: {added.audit} {added.symbol} {added.session}: {added.reason}")
