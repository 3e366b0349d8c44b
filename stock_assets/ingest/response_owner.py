"""Decide whose bars a response contains: compare it with the stored history of its symbol and of the other symbols.

Belongs here: the comparison of bars. Does not belong here: the form of a response (`sources.raw_format`), its numbers
(the audits), recording the decision (`response_reader`, `price_requests`).

A CSV response does not name its symbol. But most of its bars are stored already, and vendors revise few of them. Only
prices decide, because vendors revise volumes much more often (14 closes and 1,287 volumes of one symbol between two
downloads).
"""

import math
from collections.abc import Collection
from datetime import date
from enum import StrEnum, auto

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.backends.stored_responses import read_response
from stock_assets.core.errors import DamagedResponses, Outcome, RevisedHistory, SourceError, WrongSymbol
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import plural
from stock_assets.ingest.bar_index import BarIndex, Bars
from stock_assets.ingest.parts import PipelineParts
from stock_assets.sources.raw_format import PriceRows, parse_prices

MIN_BARS = 5
"""Fewer common bars decide nothing: a file that corrects some bars differs in all of them."""
RECENT = 100
"""Newest bars of a symbol that are compared with other symbols, so that a large universe fits into memory."""
_SAME_BARS = MIN_BARS // 2 + 1
"""Fewer equal bars are never most of the common ones."""
_MOST_RESPONSES = 5
"""Newest responses of a symbol that are read for its history."""


class Owner(StrEnum):
    """What the stored history proves about the symbol of a response."""

    CONFIRMED = auto()
    """Most common bars are equal."""
    UNKNOWN = auto()
    """The symbol has no history yet, or too few common bars."""


def comparable_bars(rows: PriceRows) -> Bars:
    """Return the prices of each session with seven significant digits; a bar without movement includes its volume.

    Different symbols may have equal bars without movement. Rows with unreadable numbers are left out, and of several
    rows of one session the first counts.
    """
    found: dict[date, tuple[float, ...]] = {}
    for row in rows.bars:
        try:
            numbers = tuple(float(f"{float(text):.7g}") for text in row.fields[1 : len(RAW_COLUMNS)])
        except ValueError:
            continue
        if row.day is not None and len(numbers) == len(RAW_COLUMNS) - 1 and all(map(math.isfinite, numbers)):
            prices = numbers[:-1]
            found.setdefault(row.day, prices if min(prices) < max(prices) else numbers)
    return found


class ResponseOwners:
    """The stored histories, and the responses that this process has read since."""

    def __init__(self, parts: PipelineParts, ledger: LedgerTable) -> None:
        self._parts = parts
        self._ledger = ledger
        self._recent: dict[str, Bars] = {}
        self._new: dict[str, tuple[str, Bars]] = {}
        self._new_bodies: dict[str, set[str]] = {}
        self._new_bars = BarIndex()
        self._stored: BarIndex | None = None

    def check(self, symbol: str, rows: PriceRows, digest: str) -> Owner:
        """Compare a response with the stored histories.

        Raises:
            WrongSymbol: most bars are those of another symbol that is listed at the same time.
            RevisedHistory: most bars differ from the stored ones, and the settings do not accept that.
        """
        if not self._parts.source.terms.distinct_responses:
            return Owner.CONFIRMED
        bars = comparable_bars(rows)
        history = self._history(symbol)
        equal, common = _compare(bars, history)
        if 2 * equal > common:
            self._recent[symbol] = _newest(bars)
            if self._stored is not None:
                self._stored.add(symbol, self._recent[symbol])
            return Owner.CONFIRMED
        same_body = self._ledger.with_content(FetchKind.PRICES, digest)
        equal_bodies = {fetch.symbol for fetch in same_body if fetch.outcome is Outcome.OK}
        for other in self._listed_with(symbol, equal_bodies | self._stored_bars().similar(bars, _SAME_BARS)):
            if other in equal_bodies:
                raise WrongSymbol(
                    f"the response is byte for byte the response of {other}{_if_renamed(symbol, other)}", symbol=symbol
                )
            if _is_same(bars, self._recent_of(other)):
                same, bars_of_other = _compare(bars, self._recent_of(other))
                raise WrongSymbol(
                    f"the response belongs to {other}: {same} of {plural(bars_of_other, 'bar')} equal the stored ones"
                    f"{_if_renamed(symbol, other)}",
                    symbol=symbol,
                )
        if common >= MIN_BARS and symbol not in self._parts.revisions_accepted:
            raise RevisedHistory(
                f"the response changes {common - equal} of {plural(common, 'stored bar')}, so it replaces nothing. "
                f"Compare it with the stored response {self._accepted(symbol)[0].response_key}; to accept it, set "
                f"STOCK_ASSETS_ACCEPT_REVISED_HISTORY={symbol} and request the symbol again",
                symbol=symbol,
            )
        newest = _newest(bars)
        self._new[symbol] = digest, newest
        self._new_bodies.setdefault(digest, set()).add(symbol)
        self._new_bars.add(symbol, newest)
        return Owner.UNKNOWN

    def conflict(self, symbol: str) -> str | None:
        """Return another symbol without history whose new response has the same bars as the one of this symbol."""
        if symbol not in self._new:
            return None
        digest, bars = self._new[symbol]
        similar = self._new_bodies[digest] | self._new_bars.similar(bars, _SAME_BARS)
        others = ((other, *self._new[other]) for other in self._listed_with(symbol, similar & self._new.keys()))
        return next((other for other, hashed, theirs in others if hashed == digest or _is_same(bars, theirs)), None)

    def forget(self, symbol: str) -> None:
        """Remove the new response of a symbol that was rejected."""
        self._new.pop(symbol, None)

    def earlier_ticker(self, rows: PriceRows) -> tuple[str, date] | None:
        """Return the symbol that has left the universe and has the same bars, and the first session of its bars."""
        bars = comparable_bars(rows)
        stored = self._ledger.symbols(FetchKind.PRICES)
        left = [symbol for symbol in stored if not self._parts.universe.listings_of(symbol)]
        found = next((other for other in left if _is_same(bars, self._recent_of(other))), None)
        if found is None:
            return None
        fetches = self._ledger.fetches(FetchKind.PRICES, symbol=found, outcome=Outcome.OK)
        return found, min(fetch.first_session for fetch in fetches if fetch.first_session is not None)

    def _listed_with(self, symbol: str, others: Collection[str]) -> list[str]:
        """Return the other symbols that are listed at the same time, in the order of the universe.

        Only they must have other bars.
        """
        universe = self._parts.universe
        if not others or set(others) == {symbol}:
            return []
        return [
            other
            for other in universe.symbols
            if other in others
            and other != symbol
            and any(one.overlaps(two) for one in universe.listings_of(symbol) for two in universe.listings_of(other))
        ]

    def _stored_bars(self) -> BarIndex:
        """Return the index of the stored bars of all symbols; it is built when the first response needs it."""
        if self._stored is None:
            self._stored = BarIndex()
            for symbol in self._parts.universe.symbols:
                self._stored.add(symbol, self._recent_of(symbol))
        return self._stored

    def _recent_of(self, symbol: str) -> Bars:
        if symbol not in self._recent:
            self._recent[symbol] = _newest(self._history(symbol))
        return self._recent[symbol]

    def _history(self, symbol: str) -> Bars:
        """Return the bars of the newest stored responses, until they are enough to compare."""
        found: dict[date, tuple[float, ...]] = {}
        for fetch in self._accepted(symbol):
            try:
                rows = parse_prices(read_response(self._parts.backend.objects, fetch), symbol)
            except (DamagedResponses, SourceError):
                # A damaged response proves nothing; with the bars of another symbol it would reject the right ones.
                continue
            found = {**comparable_bars(rows), **found}
            if len(found) >= RECENT:
                break
        return found

    def _accepted(self, symbol: str) -> list[Fetch]:
        """Return the newest good responses of a symbol."""
        return self._ledger.fetches(FetchKind.PRICES, symbol=symbol, outcome=Outcome.OK, limit=_MOST_RESPONSES)


def _if_renamed(symbol: str, other: str) -> str:
    return (
        f". If {other} was renamed to {symbol}, write the last_session of {other} and the "
        f"first_session of {symbol} into the universe file"
    )


def _newest(bars: Bars) -> Bars:
    return {day: bars[day] for day in sorted(bars)[-RECENT:]}


def _compare(bars: Bars, others: Bars) -> tuple[int, int]:
    """Return the number of equal bars and of common sessions."""
    common = bars.keys() & others.keys()
    return sum(bars[day] == others[day] for day in common), len(common)


def _is_same(bars: Bars, others: Bars) -> bool:
    equal, common = _compare(bars, others)
    return common >= MIN_BARS and 2 * equal > common
