"""The symbols the pipeline asks for, and the sessions for which each is expected.

Belongs here: reading and validating a universe file. Does not belong here: what a source can give (`ingest`).

A universe is a CSV file with the columns symbol, name, first_session, last_session. An empty first_session means
listed since before the first session of the pipeline; an empty last_session means still listed.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.resources.abc import Traversable
from pathlib import Path

import pyarrow as pa

from stock_assets.core.errors import SettingsError

SYMBOL = re.compile(r"[A-Z][A-Z0-9.-]{0,9}")
_COLUMNS = ("symbol", "name", "first_session", "last_session")


@dataclass(frozen=True)
class Listing:
    """One symbol and the sessions between which it traded; None means open-ended."""

    symbol: str
    name: str
    first_session: date | None = None
    last_session: date | None = None

    def covers(self, session: date) -> bool:
        """Tell whether the symbol was listed on that session."""
        return (self.first_session is None or self.first_session <= session) and (
            self.last_session is None or session <= self.last_session
        )


@dataclass(frozen=True)
class Universe:
    """The listings, in the order of the file."""

    listings: tuple[Listing, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Tickers in the order of the file."""
        return tuple(listing.symbol for listing in self.listings)

    def table(self) -> pa.Table:
        """Make the relation `listings` that audits read: symbol, first_session (never NULL), last_session."""
        return pa.table(
            {
                "symbol": pa.array(self.symbols, pa.string()),
                "first_session": pa.array([row.first_session or date.min for row in self.listings], pa.date32()),
                "last_session": pa.array([row.last_session for row in self.listings], pa.date32()),
            }
        )


def read_universe(file: Path | Traversable) -> Universe:
    """Read a universe file.

    Raises:
        SettingsError: the file is missing, empty or malformed; the message names the line and what to do.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"universe file {file} cannot be read ({error}); set STOCK_ASSETS_UNIVERSE") from error
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise SettingsError(f"universe file {file} must begin with the line {','.join(_COLUMNS)}")
        listings = tuple(_listing(row, f"{file}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        raise SettingsError(f"{file}, line {reader.reader.line_num}: mend the quotes or commas ({error})") from error
    _refuse_duplicates(listings, file)
    return Universe(listings)


def _listing(row: dict[str, str | None], place: str) -> Listing:
    symbol = (row["symbol"] or "").strip()
    if len(row) > len(_COLUMNS):
        raise SettingsError(f"{place}: {symbol!r} has more fields than {','.join(_COLUMNS)}; quote a name with a comma")
    if not SYMBOL.fullmatch(symbol):
        raise SettingsError(f"{place}: {symbol!r} is not a symbol (a capital, then up to 9 of A-Z 0-9 . -)")
    try:
        first, last = (
            date.fromisoformat(text) if text else None for text in (row["first_session"], row["last_session"])
        )
    except ValueError as error:
        raise SettingsError(f"{place}: {symbol} needs dates as YYYY-MM-DD or nothing ({error})") from error
    if first and last and first > last:
        raise SettingsError(f"{place}: {symbol} has its first session {first} after its last {last}")
    return Listing(symbol, (row["name"] or "").strip(), first, last)


def _refuse_duplicates(listings: Iterable[Listing], file: Path | Traversable) -> None:
    seen: set[str] = set()
    for listing in listings:
        if listing.symbol in seen:
            raise SettingsError(f"universe file {file} names {listing.symbol} twice; remove one")
        seen.add(listing.symbol)
    if not seen:
        raise SettingsError(f"universe file {file} has no symbol; add one line for each")


def require_enough_calls(universe: Universe, calls_per_day: int | None) -> None:
    """Check that the plan has a call a day for every symbol.

    Raises:
        SettingsError: it has not; the message says how many are too many and what to set.
    """
    symbols = len(universe.symbols)
    if calls_per_day is not None and symbols > calls_per_day:
        raise SettingsError(
            f"the universe has {symbols} symbols, but the plan serves {calls_per_day} calls a day, one a symbol: "
            f"remove {symbols - calls_per_day} from the file of STOCK_ASSETS_UNIVERSE, or set "
            "STOCK_ASSETS_ALPHA_VANTAGE_PLAN (or STOCK_ASSETS_CALLS_PER_DAY) to what the key has"
        )
