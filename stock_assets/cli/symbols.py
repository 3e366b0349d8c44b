"""The commands `symbols list`, `search`, `add`, `remove` and `rename`: the universe, and what a change causes.

Belongs here: arguments and printing. Does not belong here: the format of the file and its change
(`core.universe_file`), the search (`ingest.symbol_search`).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import print_grid, print_line, print_warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stock_assets.core.universe_file import Rows
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings
    from stock_assets.sources.interface import SymbolMatch

app = typer.Typer(no_args_is_help=True, help="List and change the symbols whose prices are requested.")
_DAY = ["%Y-%m-%d"]
_LOAD = "stock-assets backfill FIRST LAST --missing"
_Symbol = Annotated[str, typer.Argument(help="Ticker, such as NVDA.")]


@app.command("list")
def list_symbols() -> None:
    """List the symbols with their listing periods, and the file that contains them."""
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    listings = Pipeline.from_settings(settings).universe.listings
    rows = [(one.symbol, one.name, str(one.first_session or ""), str(one.last_session or "")) for one in listings]
    print_grid(("Symbol", "Name", "First session", "Last session"), rows)
    print_line(f"File: {settings.universe_file or 'of the package; set STOCK_ASSETS_UNIVERSE to use your own'}")


@app.command()
def search(text: Annotated[str, typer.Argument(help="Ticker or part of a company's name.")]) -> None:
    """Search the vendor's symbols by ticker or name; one call of the quota."""
    from stock_assets.core.text import plural
    from stock_assets.ingest.quota import read_quota
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    pipeline = Pipeline.from_settings(Settings.from_env())
    found = _search(pipeline, text)
    rows = [(one.symbol, one.name, one.kind, one.region, one.currency) for one in found]
    print_grid(("Symbol", "Name", "Type", "Region", "Currency"), rows)
    left = [one for one in read_quota(pipeline).allowances if one.per == "day" and one.allowed]
    quota = f", {left[0].remaining} of today's {left[0].allowed} left" if left else ""
    print_line(f"{plural(len(found), 'symbol')}; the search used 1 call{quota}. To add one: stock-assets symbols add")


@app.command()
def add(
    symbol: _Symbol,
    *,
    name: Annotated[str, typer.Option(help="Name of the company.")] = "",
    first_session: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="First session on the exchange; default: before all others.")
    ] = None,
    search: Annotated[
        bool, typer.Option(help="Look the symbol up at the vendor first, if an API key is set: one call.")
    ] = True,
) -> None:
    """Add a symbol to the universe file, and state the requests that it causes."""
    from stock_assets.core.universe_file import add_symbol

    symbol = symbol.strip().upper()
    first = first_session.date() if first_session else None
    match = _look_up(symbol) if search else None
    _change(add_symbol(symbol, name or (match.name if match else ""), first))
    found = f", which the vendor's search found with 1 call: {match}" if match else ""
    print_line(f"Added {symbol}{found}. {_requests(symbol)}")


@app.command()
def remove(symbol: _Symbol) -> None:
    """Remove a symbol from the universe file; its published history and its responses stay."""
    from stock_assets.core.universe_file import remove_symbol

    symbol = symbol.strip().upper()
    _change(remove_symbol(symbol))
    print_line(f"Removed {symbol}. It is no longer requested; its published history and its raw responses stay.")


@app.command()
def rename(
    old: _Symbol,
    new: Annotated[str, typer.Argument(help="The new ticker of the same company.")],
    first_session: Annotated[datetime, typer.Argument(formats=_DAY, help="First session of the new ticker.")],
) -> None:
    """End the listing of a ticker, and add its new ticker from a session on."""
    from stock_assets.core.calendar import is_session
    from stock_assets.core.closed_days import why_no_session
    from stock_assets.core.universe_file import rename_symbol

    old, new, day = old.strip().upper(), new.strip().upper(), first_session.date()
    if not is_session(day):
        raise typer.BadParameter(why_no_session(day, day))
    _change(rename_symbol(old, new, day))
    print_line(f"{old} ends before {day}, and {new} begins. {_requests(new)}")


def _change(change: "Callable[[Rows], Rows]") -> None:
    from stock_assets.core.universe import Universe, require_enough_calls
    from stock_assets.core.universe_file import change_universe
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    pipeline = Pipeline.from_settings(settings)

    def check(universe: Universe) -> None:
        require_enough_calls(
            [universe, *(each.universe for each in pipeline.others)], pipeline.source.terms.limits.per_day
        )

    change_universe(_own_file(settings), change, check)


def _look_up(symbol: str) -> "SymbolMatch | None":
    """Return what the vendor knows about a new symbol; None without a key, or if the search failed.

    Raises:
        SettingsError: the vendor does not know the symbol.
    """
    from stock_assets.core.errors import SettingsError, SourceError
    from stock_assets.core.universe import SYMBOL
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings, SourceName, read_api_key

    settings = Settings.from_env()
    if settings.source is SourceName.RECORDED or not (read_api_key() or settings.aws_api_key_secret):
        return None
    pipeline = Pipeline.from_settings(settings)
    if not SYMBOL.fullmatch(symbol) or symbol in pipeline.universe.symbols:
        # The change fails, and needs no call for that.
        return None
    try:
        found = _search(pipeline, symbol)
    except SourceError as error:
        print_warning(f"The symbol was not looked up at the vendor. {error}")
        return None
    match = next((one for one in found if one.symbol == symbol), None)
    if match is None:
        closest = f" Closest: {'; '.join(map(str, found[:3]))}." if found else ""
        raise SettingsError(
            f"The universe was not changed. The vendor's search does not find {symbol}.{closest} Correct the symbol, "
            "or add it without a search: --no-search"
        )
    return match


def _search(pipeline: "Pipeline", text: str) -> "list[SymbolMatch]":
    from stock_assets.core.clock import utc_now
    from stock_assets.coverage.catch_up import available_calls
    from stock_assets.ingest.symbol_search import search_symbols

    return search_symbols(pipeline, text, reserve=available_calls(pipeline, utc_now()).reserved)


def _own_file(settings: "Settings") -> "Path":
    """Return the user's universe file; the file of the package is replaced by each upgrade."""
    from stock_assets.construction import packaged_universe
    from stock_assets.core.errors import SettingsError

    if settings.universe_file is None:
        raise SettingsError(
            f"The universe is a file of the package, which an upgrade replaces: {packaged_universe(settings.source)}. "
            "Run stock-assets init, which copies it to universe.csv and names the copy in .env, or set "
            "STOCK_ASSETS_UNIVERSE to your own file."
        )
    return settings.universe_file


def _requests(symbol: str) -> str:
    from stock_assets.core.clock import utc_now
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    source = Pipeline.from_settings(Settings.from_env()).source
    if source.terms.limits.unlimited:
        return f"Requests to the source ({source.label}) use no calls. To load its history: {_LOAD}"
    history = source.available_history(utc_now())
    reach = f" Responses begin on {history.first} ({history.why})." if history is not None else ""
    return (
        f"The next run sends one request for the prices of {symbol} and one for its splits: 2 calls.{reach} "
        f"To load its history: {_LOAD}"
    )
