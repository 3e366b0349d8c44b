"""The command `acknowledge`: add, list and remove acknowledged warnings.

Belongs here: its arguments and output. Does not belong here: where acknowledgements are stored (`loads`).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import print_grid, print_left_out, print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stock_assets.loads.acknowledgements import Acknowledgement


def acknowledge(
    audit: Annotated[str | None, typer.Argument(help="Name of the warning. Without it, all are listed.")] = None,
    symbol: Annotated[str | None, typer.Argument(help="Symbol, or - for a finding of a whole session.")] = None,
    session: Annotated[datetime | None, typer.Argument(formats=["%Y-%m-%d"], help="Session, YYYY-MM-DD.")] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why the finding is right as it is.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Show the finding again.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="List all, not only the 50 that were acknowledged last.")
    ] = False,
) -> None:
    """Acknowledge a warning about a symbol and session, so that it is not shown again; list acknowledged warnings."""
    from stock_assets.loads import acknowledgements
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    objects = Pipeline.from_settings(Settings.from_env()).backend.objects
    if audit is None:
        _print_list(acknowledgements.acknowledgements(objects), every=every)
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


def _print_list(known: "Sequence[Acknowledgement]", *, every: bool) -> None:
    """Print acknowledged warnings; of a long list those that were acknowledged last, newest first."""
    from stock_assets.core.text import SYMBOLS_SHOWN

    shown = known
    if len(known) > SYMBOLS_SHOWN and not every:
        shown = sorted(known, key=lambda one: one.acknowledged_at, reverse=True)[:SYMBOLS_SHOWN]
    rows = [(one.audit, one.symbol, f"{one.session}", one.reason, f"{one.acknowledged_at:%Y-%m-%d}") for one in shown]
    print_grid(("Warning", "Symbol", "Session", "Reason", "Acknowledged"), rows)
    print_left_out(len(known) - len(shown), "stock-assets acknowledge --all")
