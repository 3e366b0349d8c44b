"""The universe: the symbols whose prices the pipeline requests, and the sessions in which each was listed.

Belongs here: reading and validating a universe file. Does not belong here: which history a source has (`sources`).

A universe is a CSV file with the columns symbol, name, first_session, last_session. An empty first_session means
listed since before the first session of the pipeline; an empty last_session means still listed. A ticker that one
company gave up and another one uses has one line for each listing period.
"""

import codecs
import csv
import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib.resources.abc import Traversable
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from stock_assets.core.errors import SettingsError
from stock_assets.core.text import plural

if TYPE_CHECKING:
    import pyarrow as pa

SYMBOL = re.compile(r"[A-Z][A-Z0-9.-]{0,9}")
UNIVERSE_NAME = "[a-z][a-z0-9_]{0,29}"
"""Pattern of the name of a universe, in a deployment with several."""
_OTHER_SEPARATORS = re.compile(r"[ /_:]+")
"""Characters that others write between a ticker and its share class, where the vendor has a point or a hyphen."""
_REMEDY = "Set STOCK_ASSETS_UNIVERSE to a CSV file in UTF-8"
_COLUMNS = ("symbol", "name", "first_session", "last_session")


@dataclass(frozen=True)
class Listing:
    """One listing period of a symbol; None means listed before the first, or after the last, session."""

    symbol: str
    name: str
    first_session: date | None = None
    last_session: date | None = None

    def covers(self, session: date) -> bool:
        """Return whether the symbol was listed in a session."""
        return (self.first_session is None or self.first_session <= session) and (
            self.last_session is None or session <= self.last_session
        )

    def bounds(self, sessions: Sequence[date]) -> tuple[int, int]:
        """Return the position of the first covered session, out of some in order, and the one after the last."""
        start = bisect_left(sessions, self.first_session) if self.first_session else 0
        end = bisect_right(sessions, self.last_session) if self.last_session else len(sessions)
        return start, end

    def overlaps(self, other: "Listing") -> bool:
        """Return whether a day belongs to both periods."""
        return (self.first_session or date.min) <= (other.last_session or date.max) and (
            other.first_session or date.min
        ) <= (self.last_session or date.max)

    def __str__(self) -> str:
        """Format the period, for messages."""
        return f"{self.first_session or 'the beginning'} to {self.last_session or 'today'}"


@dataclass(frozen=True)
class Universe:
    """The listings, in the order of the file; several listings of one symbol do not overlap."""

    listings: tuple[Listing, ...]

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Tickers in the order of the file, each one once."""
        return tuple(self._by_symbol)

    def listings_of(self, symbol: str) -> tuple[Listing, ...]:
        """Return the listing periods of a symbol, oldest first; none if the universe does not contain it."""
        return self._by_symbol.get(symbol, ())

    def covers(self, symbol: str, session: date) -> bool:
        """Return whether a symbol was listed in a session."""
        return any(listing.covers(session) for listing in self.listings_of(symbol))

    def listed_counts(self, sessions: Sequence[date]) -> dict[date, int]:
        """Return how many symbols were listed in each of some sessions in order."""
        changes = [0] * (len(sessions) + 1)
        for listing in self.listings:
            start, end = listing.bounds(sessions)
            if start < end:
                changes[start] += 1
                changes[end] -= 1
        return dict(zip(sessions, accumulate(changes), strict=False))

    def listed_sessions(self, symbol: str, sessions: Sequence[date]) -> tuple[date, ...]:
        """Return the sessions, out of some in order, in which a symbol was listed."""
        periods = self.listings_of(symbol)
        if len(periods) == 1 and periods[0].first_session is None and periods[0].last_session is None:
            return tuple(sessions)
        found: list[date] = []
        for listing in periods:
            start, end = listing.bounds(sessions)
            found += sessions[start:end]
        return tuple(found)

    def name_of(self, symbol: str) -> str:
        """Return the name in the newest listing of a symbol; empty if the universe does not contain it."""
        return self.listings_of(symbol)[-1].name if symbol in self._by_symbol else ""

    def table(self) -> "pa.Table":
        """Build the relation `listings` that audits read: symbol, first_session (never NULL), last_session."""
        import pyarrow as pa  # noqa: PLC0415 (large; the Lambda function does without it)

        return pa.table(
            {
                "symbol": pa.array([row.symbol for row in self.listings], pa.string()),
                "first_session": pa.array([row.first_session or date.min for row in self.listings], pa.date32()),
                "last_session": pa.array([row.last_session for row in self.listings], pa.date32()),
            }
        )

    @cached_property
    def _by_symbol(self) -> dict[str, tuple[Listing, ...]]:
        found: dict[str, list[Listing]] = {}
        for row in self.listings:
            found.setdefault(row.symbol, []).append(row)
        return {
            symbol: tuple(sorted(periods, key=lambda period: period.first_session or date.min))
            for symbol, periods in found.items()
        }


def read_universe(file: Path | Traversable) -> Universe:
    """Read a universe file.

    Raises:
        SettingsError: the file is missing, empty or malformed; the message names the line and the remedy.
    """
    try:
        return parse_universe(file.read_bytes(), str(file))
    except OSError as error:
        raise SettingsError(f"The universe file {file} cannot be read ({error}). {_REMEDY}.") from error


def parse_universe(body: bytes, file: str) -> Universe:
    """Parse the content of a universe file.

    Args:
        body: the content.
        file: address of the file, for messages.

    Raises:
        SettingsError: as `read_universe`.
    """
    # Not str.splitlines, which would also end a line at characters that a name may contain, such as U+2028.
    reader = csv.reader(io.StringIO(_text(body, file), newline=""), strict=True)
    listings: dict[int, Listing] = {}
    try:
        header = [column.strip() for column in next(reader, [])]
        if header[: len(_COLUMNS)] != list(_COLUMNS) or any(header[len(_COLUMNS) :]):
            raise SettingsError(f"The universe file {file} must begin with the line {','.join(_COLUMNS)}.")
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                listings[reader.line_num] = _listing(fields, len(header), f"{file}, line {reader.line_num}")
    except csv.Error as error:
        raise SettingsError(f"{file}, line {reader.line_num}: fix the quotes or commas ({error}).") from error
    if not listings:
        raise SettingsError(f"The universe file {file} has no symbols. Add one line per symbol.")
    _check_overlaps(listings, file)
    return Universe(tuple(listings.values()))


def _text(body: bytes, file: str) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SettingsError(
            f"The universe file {file} cannot be read: its encoding is UTF-16. {_REMEDY}; spreadsheet programs call it "
            "'CSV UTF-8'."
        )
    try:
        # Spreadsheet programs begin the file with a byte order mark.
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"The universe file {file} cannot be read ({error}). {_REMEDY}.") from error


def _listing(fields: Sequence[str], width: int, place: str) -> Listing:
    # Spreadsheet programs may add empty columns at the end of every line, header included.
    if len(fields) > width or any(fields[len(_COLUMNS) :]):
        raise SettingsError(
            f"{place}: {fields[0]!r} has more fields than {','.join(_COLUMNS)}. Put a name with a comma in quotes."
        )
    symbol, name, *days = (*fields, "", "", "")[: len(_COLUMNS)]
    if not SYMBOL.fullmatch(symbol):
        closest = _OTHER_SEPARATORS.sub(".", symbol.upper())
        raise SettingsError(
            f"{place}: {symbol!r} is not a symbol. A symbol is a capital letter and up to 9 characters of A-Z 0-9 . -"
            + (f". Write {closest}." if SYMBOL.fullmatch(closest) else "")
        )
    try:
        first, last = (date.fromisoformat(text) if text else None for text in days)
    except ValueError as error:
        raise SettingsError(
            f"{place}: write the dates of {symbol} as YYYY-MM-DD, or leave them empty ({error})."
        ) from error
    if first and last and first > last:
        raise SettingsError(f"{place}: the first session of {symbol}, {first}, is after its last session, {last}.")
    return Listing(symbol, name, first, last)


def _check_overlaps(listings: Mapping[int, Listing], file: str) -> None:
    seen: dict[str, list[tuple[int, Listing]]] = {}
    for number, one in listings.items():
        for earlier, other in seen.setdefault(one.symbol, []):
            if not one.overlaps(other):
                continue
            raise SettingsError(
                f"The universe file {file} has {one.symbol} twice: line {earlier} ({other}) and line {number} ({one}). "
                "Remove one of the two lines, or give them first_session and last_session so that they do not overlap."
            )
        seen[one.symbol].append((number, one))


def require_enough_calls(universes: Sequence[Universe], calls_per_day: int | None) -> None:
    """Check that the plan allows one call per symbol and day, for all universes that share it, and one more.

    Without it no splits could be requested.

    Raises:
        SettingsError: they have more symbols; the message says how many to remove, and what to set instead.
    """
    symbols = sum(len(universe.symbols) for universe in universes)
    if calls_per_day is not None and symbols >= calls_per_day:
        subject, file = "The universe has", "file of STOCK_ASSETS_UNIVERSE"
        if len(universes) > 1:
            subject, file = "The universes together have", "files of STOCK_ASSETS_UNIVERSES"
        raise SettingsError(
            f"{subject} {plural(symbols, 'symbol')}, but the plan allows {plural(calls_per_day, 'call')} per day: each "
            f"symbol needs one for its price, and splits need another. Remove {symbols - calls_per_day + 1} from the "
            f"{file}, or set STOCK_ASSETS_ALPHA_VANTAGE_PLAN (or STOCK_ASSETS_CALLS_PER_DAY) to the plan of your key."
        )
