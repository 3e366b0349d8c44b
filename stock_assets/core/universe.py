"""The universe: the symbols whose prices the pipeline requests, and the sessions in which each was listed.

Belongs here: reading and validating a universe file. Does not belong here: which history a source has (`sources`).

A universe is a CSV file with the columns symbol, name, first_session, last_session. An empty first_session means
listed since before the first session of the pipeline; an empty last_session means still listed.
"""

import csv
import io
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
    """One symbol and its first and last session; None means listed before the first, or after the last, session."""

    symbol: str
    name: str
    first_session: date | None = None
    last_session: date | None = None

    def covers(self, session: date) -> bool:
        """Return whether the symbol was listed in a session."""
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
        """Build the relation `listings` that audits read: symbol, first_session (never NULL), last_session."""
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
        SettingsError: the file is missing, empty or malformed; the message names the line and the remedy.
    """
    try:
        # Spreadsheet programs begin the file with a byte order mark.
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The universe file {file} cannot be read ({error}). Set STOCK_ASSETS_UNIVERSE to a CSV file in UTF-8."
        ) from error
    # Not str.splitlines, which would also end a line at characters that a name may contain, such as U+2028.
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise SettingsError(f"The universe file {file} must begin with the line {','.join(_COLUMNS)}.")
        listings = tuple(_listing(row, f"{file}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        raise SettingsError(f"{file}, line {reader.reader.line_num}: fix the quotes or commas ({error}).") from error
    _check_symbols(listings, file)
    return Universe(listings)


def _listing(row: dict[str, str | None], place: str) -> Listing:
    symbol = (row["symbol"] or "").strip()
    if len(row) > len(_COLUMNS):
        raise SettingsError(
            f"{place}: {symbol!r} has more fields than {','.join(_COLUMNS)}. Put a name with a comma in quotes."
        )
    if not SYMBOL.fullmatch(symbol):
        raise SettingsError(
            f"{place}: {symbol!r} is not a symbol. A symbol is a capital letter and up to 9 characters of A-Z 0-9 . -"
        )
    try:
        first, last = (
            date.fromisoformat(text) if text else None for text in (row["first_session"], row["last_session"])
        )
    except ValueError as error:
        raise SettingsError(
            f"{place}: write the dates of {symbol} as YYYY-MM-DD, or leave them empty ({error})."
        ) from error
    if first and last and first > last:
        raise SettingsError(f"{place}: the first session of {symbol}, {first}, is after its last session, {last}.")
    return Listing(symbol, (row["name"] or "").strip(), first, last)


def _check_symbols(listings: Iterable[Listing], file: Path | Traversable) -> None:
    seen: set[str] = set()
    for listing in listings:
        if listing.symbol in seen:
            raise SettingsError(f"The universe file {file} has {listing.symbol} twice. Remove one of the two lines.")
        seen.add(listing.symbol)
    if not seen:
        raise SettingsError(f"The universe file {file} has no symbols. Add one line per symbol.")


def require_enough_calls(universe: Universe, calls_per_day: int | None) -> None:
    """Check that the plan allows one call per symbol and day.

    Raises:
        SettingsError: the universe has more symbols; the message says how many to remove, and what to set instead.
    """
    symbols = len(universe.symbols)
    if calls_per_day is not None and symbols > calls_per_day:
        raise SettingsError(
            f"The universe has {symbols} symbols, but the plan allows {calls_per_day} calls per day, and each symbol "
            f"needs one. Remove {symbols - calls_per_day} from the file of STOCK_ASSETS_UNIVERSE, or set "
            "STOCK_ASSETS_ALPHA_VANTAGE_PLAN (or STOCK_ASSETS_CALLS_PER_DAY) to the plan of your key."
        )
