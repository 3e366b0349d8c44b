"""The commands `symbols list`, `search`, `add`, `remove`, `rename` and `purge`: the universe, and what a change causes.

Belongs here: arguments and printing. Does not belong here: the format of the file and its change
(`core.universe_changes`), the search (`ingest.symbol_search`), removing the history of a symbol (`maintenance.purge`).
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.output import print_error, print_grid, print_left_out, print_line, print_warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stock_assets.core.universe_changes import Rows
    from stock_assets.core.vendor_facts import SymbolMatch
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

app = typer.Typer(no_args_is_help=True, help="List and change the symbols whose prices are requested.")
_DAY = ["%Y-%m-%d"]
_LOAD = "stock-assets backfill FIRST LAST --missing"
_Symbol = Annotated[str, typer.Argument(help="Ticker, such as NVDA.")]


@app.command("list")
def list_symbols(*, every: Annotated[bool, typer.Option("--all", help="List all symbols.")] = False) -> None:
    """List the symbols with their listing periods (of a large universe the first 50), and the file that has them."""
    from stock_assets.core.text import SYMBOLS_SHOWN
    from stock_assets.pipeline import Pipeline
    from stock_assets.pipeline.universe import universe_address
    from stock_assets.settings import Settings

    settings = Settings.from_env()
    listings = Pipeline.from_settings(settings).universe.listings
    shown = listings if every else listings[:SYMBOLS_SHOWN]
    rows = [(one.symbol, one.name, str(one.first_session or ""), str(one.last_session or "")) for one in shown]
    print_grid(("Symbol", "Name", "First session", "Last session"), rows)
    print_left_out(len(listings) - len(shown), "stock-assets symbols list --all")
    print_line(f"File: {universe_address(settings) or 'of the package; set STOCK_ASSETS_UNIVERSE to use your own'}")


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
    from stock_assets.core.universe_changes import add_symbol

    symbol = symbol.strip().upper()
    first = first_session.date() if first_session else None
    purged = _purged_before(symbol)
    match = _look_up(symbol) if search else None
    _change(add_symbol(symbol, name or (match.name if match else ""), first))
    found = f", which the vendor's search found with 1 call: {match}" if match else ""
    print_line(f"Added {symbol}{found}. {purged}{_requests(symbol)}")


@app.command()
def remove(symbol: _Symbol) -> None:
    """Remove a symbol from the universe file; its published history and its responses stay (see `purge`)."""
    from stock_assets.core.universe_changes import remove_symbol

    symbol = symbol.strip().upper()
    _change(remove_symbol(symbol))
    print_line(
        f"Removed {symbol}. It is no longer requested; its published history and its raw responses stay. "
        f"To remove its published history too: stock-assets symbols purge {symbol}"
    )


@app.command()
def rename(
    old: _Symbol,
    new: Annotated[str, typer.Argument(help="The new ticker of the same company.")],
    first_session: Annotated[datetime, typer.Argument(formats=_DAY, help="First session of the new ticker.")],
) -> None:
    """End the listing of a ticker, and add its new ticker from a session on."""
    from stock_assets.core.calendar import is_session
    from stock_assets.core.closed_days import why_no_session
    from stock_assets.core.universe_changes import rename_symbol

    old, new, day = old.strip().upper(), new.strip().upper(), first_session.date()
    if not is_session(day):
        raise typer.BadParameter(why_no_session(day, day))
    _change(rename_symbol(old, new, day))
    print_line(f"{old} ends before {day}, and {new} begins. {_requests(new)}")


@app.command()
def purge(
    symbol: _Symbol, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False
) -> None:
    """Remove a symbol from the universe file, and its rows from every published table; its responses stay stored."""
    from stock_assets.core.clock import utc_now
    from stock_assets.core.errors import SettingsError
    from stock_assets.core.text import plural
    from stock_assets.core.universe_changes import remove_symbol
    from stock_assets.maintenance.purge import published_history
    from stock_assets.maintenance.purge import purge as purge_history
    from stock_assets.pipeline import Pipeline
    from stock_assets.serve.views import refresh_views
    from stock_assets.settings import Settings

    symbol, settings = symbol.strip().upper(), Settings.from_env()
    pipeline = Pipeline.from_settings(settings)
    listed = symbol in pipeline.universe.symbols
    if listed:
        _own_file(settings)
    published = published_history(pipeline.backend, symbol)
    responses = _counted_responses(pipeline, symbol)
    if not (listed or published or responses):
        raise SettingsError(_nothing_to_purge(pipeline, symbol))
    rows = [
        (table.full_name, f"{found.row_count:,}", f"{found.sessions:,}", str(found.first_date), str(found.last_date))
        for table, found in published.items()
    ]
    print_grid(("Removed from", "Rows", "Sessions", "First", "Last"), rows, title=f"History of {symbol}")
    listing = "Its listing is removed from the universe. " if listed else ""
    kept = f"Its raw responses ({responses}) stay as they are, and no load uses them any more. " if responses else ""
    print_line(f"{listing}{kept}If you add {symbol} again, its history is requested anew.")
    if not yes:
        _confirm(symbol)
    if listed:
        _change(remove_symbol(symbol))
    removed = purge_history(pipeline.backend, symbol, utc_now())
    refresh_views(pipeline.backend)
    print_line(f"Purged {symbol}: {plural(sum(removed.values()), 'row')} removed. To redraw: stock-assets report")
    if removed:
        days = plural(settings.snapshot_retention_days, "day")
        print_line(
            f"Earlier snapshots still have these rows until maintenance expires them, {days} from now; a rollback to "
            "one of them publishes the rows again. To remove them earlier, run this command after a day: "
            "STOCK_ASSETS_SNAPSHOT_RETENTION_DAYS=1 stock-assets maintain"
        )


def _counted_responses(pipeline: "Pipeline", symbol: str) -> int:
    """Return the number of stored responses of a symbol that loads use."""
    from stock_assets.backends.interface import FetchKind

    with pipeline.backend.ledger.read() as ledger:
        fetches = [
            fetch for kind in (FetchKind.PRICES, FetchKind.SPLITS) for fetch in ledger.fetches(kind, symbol=symbol)
        ]
    return len({fetch.response_key for fetch in fetches if fetch.response_key})


def _nothing_to_purge(pipeline: "Pipeline", symbol: str) -> str:
    from stock_assets.backends.interface import FetchKind
    from stock_assets.core.text import did_you_mean
    from stock_assets.ingest.purges import purged_at

    with pipeline.backend.ledger.read() as ledger:
        at = purged_at(ledger, symbol)
        known = {*ledger.symbols(FetchKind.PRICES), *pipeline.universe.symbols}
    if at is not None:
        return f"Nothing was changed. {symbol} was purged on {at:%Y-%m-%d %H:%M} UTC and has had no data since."
    meant = did_you_mean(symbol, sorted(known), otherwise="To see the symbols: stock-assets symbols list")
    return f"Nothing was changed. {symbol} is not in the universe, and no data of it are stored. {meant}"


def _confirm(symbol: str) -> None:
    """Ask whether to purge.

    Raises:
        typer.Exit: the user declines, or nobody can be asked.
    """
    if not _is_terminal():
        print_error(
            f"Nothing was changed. To purge {symbol} without a question, run: stock-assets symbols purge {symbol} --yes"
        )
        raise typer.Exit(code=1)
    if not typer.confirm(f"Purge {symbol}?"):
        print_line("Nothing was changed.")
        raise typer.Exit(code=1)


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty()


def _purged_before(symbol: str) -> str:
    """Return a sentence about an earlier purge of a symbol that is added; empty without one.

    Raises:
        SettingsError: rows from before the purge are published.
    """
    from stock_assets.core.errors import SettingsError
    from stock_assets.ingest.purges import purged_at
    from stock_assets.maintenance.purge import rows_of_purged_symbols
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import Settings

    backend = Pipeline.from_settings(Settings.from_env()).backend
    with backend.ledger.read() as ledger:
        at = purged_at(ledger, symbol)
    if at is None:
        return ""
    if symbol in rows_of_purged_symbols(backend):
        raise SettingsError(
            f"The universe was not changed. {symbol} was purged on {at:%Y-%m-%d}, and rows of it are published: the "
            f"purge was interrupted, or a table was rolled back. First run: stock-assets symbols purge {symbol} --yes"
        )
    return f"Its history was purged on {at:%Y-%m-%d}, so it is requested anew. "


def _change(change: "Callable[[Rows], Rows]") -> None:
    from stock_assets.core.universe import Universe, require_enough_calls
    from stock_assets.core.universe_changes import change_universe
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
    from stock_assets.core.errors import SettingsError
    from stock_assets.pipeline.universe import stored_universe_address

    if settings.universe_name in settings.aws_universes:
        name = settings.universe_name
        raise SettingsError(
            f"The universe {name} was not changed: every process of the deployment reads its file "
            f"{stored_universe_address(settings)}. Change your copy of {name}.csv, then run stock-assets aws deploy "
            f"--universe {name}.csv"
        )
    if settings.universe_file is None:
        raise SettingsError(
            f"The universe is a file of the package, which an upgrade replaces: {settings.packaged_universe}. "
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
