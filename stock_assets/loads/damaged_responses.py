"""The error of a load whose stored responses are damaged: which ones, the consequence, and the command that helps.

Belongs here: its text. Does not belong here: comparing responses with the ledger (`backends.local.raw_rows`).
"""

from collections.abc import Collection, Sequence

from stock_assets.backends.interface import Fetch
from stock_assets.core.calendar import next_session, previous_session
from stock_assets.core.errors import DamagedResponses
from stock_assets.core.text import plural, shorten_list
from stock_assets.loads.load import Load

_SHOWN = 5


def describe_damage(
    error: DamagedResponses, load: Load, responses: Sequence[Fetch], symbols: Collection[str]
) -> DamagedResponses:
    """Return the error with consequence and remedy.

    Args:
        error: the error of the backend.
        load: the load that needs the responses.
        responses: all responses of the load.
        symbols: the symbols of the universe; only these can be requested again.
    """
    damaged = [fetch for fetch in responses if fetch.response_key in error.damage]
    texts = [f"{fetch.response_key} ({fetch.symbol}): {error.damage[fetch.response_key]}" for fetch in damaged]
    return DamagedResponses(
        error.damage,
        f"staged/daily_prices, sessions {load.start_date} to {load.end_date}: "
        f"{plural(len(damaged), 'stored response is', 'stored responses are')} damaged, so the load was not published: "
        f"{shorten_list(texts, _SHOWN)}. {_remedy(load, damaged, symbols)}",
    )


def _remedy(load: Load, damaged: Sequence[Fetch], symbols: Collection[str]) -> str:
    known = [fetch for fetch in damaged if fetch.symbol in symbols]
    if not known:
        return "Restore the files from a backup; no symbol is in the universe, so none can be requested again."
    names = dict.fromkeys(fetch.symbol for fetch in known)
    # Closed days beside the load belong to the sessions around it, so the load also reads the responses for these.
    first = previous_session(load.start_date) if load.first_day < load.start_date else load.start_date
    last = next_session(load.end_date) if load.last_day > load.end_date else load.end_date
    first = max(first, min(fetch.first_session or first for fetch in known))
    last = min(last, max(fetch.last_session or last for fetch in known))
    command = " ".join(["stock-assets backfill", f"{first} {last}", "--again", *(f"--symbol {name}" for name in names)])
    return (
        f"Request the bars again: {command}. If the vendor no longer has these sessions, restore the files from a "
        "backup, or put a CSV file with the bars into the landing area."
    )
