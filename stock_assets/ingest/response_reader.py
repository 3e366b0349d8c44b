"""Read price responses into the ledger entries that describe them.

Belongs here: the checks that reject a well-formed but implausible response. Does not belong here: its format
(`sources.raw_format`), the comparison with stored bars (`response_owner`), its numbers (the audits).
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from stock_assets.backends.interface import Fetch, FetchKind
from stock_assets.backends.ledger_table import LedgerTable
from stock_assets.core.calendar import NEW_YORK, sessions_between, sessions_closing
from stock_assets.core.checksums import content_hash
from stock_assets.core.errors import Outcome, WrongSymbol
from stock_assets.core.text import plural
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.response_keys import clock_time
from stock_assets.ingest.response_owner import Owner, ResponseOwners
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.raw_format import PriceRows

_OPEN_FOR = timedelta(days=7)
"""Sessions after the clock's time of a response that are listed as incomplete; later ones cannot have a bar yet."""


class ResponseReader:
    """Reads the price responses of one run, and holds those whose symbol is not certain until all have arrived.

    A response for a symbol without stored history can belong to another symbol without stored history. So `settle`
    decides when all have arrived: responses with the same bars are rejected, both. Until then only its file is
    recorded, so that it does not count as a landing file if the process is killed.
    """

    def __init__(self, parts: PipelineParts, ledger: LedgerTable) -> None:
        self._parts = parts
        self._owners = ResponseOwners(parts, ledger)
        self._held: dict[str, tuple[Fetch, PriceRows]] = {}

    def read(self, symbol: str, body: bytes, response_key: str, arrived: datetime) -> Fetch:
        """Return the entry of a response, or an entry of its file alone if `settle` decides.

        Raises:
            SourceError: see `PriceSource.read_prices`, `PriceRows.until` and `ResponseOwners.check`.
        """
        rows = _rows(self._parts.source, symbol, body, clock_time(response_key) or arrived)
        fetch = _entry(symbol, body, rows, response_key, arrived)
        if self._owners.check(symbol, rows, fetch.content_hash) is Owner.CONFIRMED:
            return fetch
        self._held[symbol] = fetch, rows
        detail = f"{response_key}: waits for the other responses of the run"
        return Fetch(f"{symbol}.csv", FetchKind.LANDING_FILES, arrived, Outcome.OK, response_key, detail=detail)

    def settle(self) -> dict[str, Fetch]:
        """Record the decision about each response that is held; return the entries by symbol."""
        held, self._held = self._held, {}
        conflicts = {symbol: self._owners.conflict(symbol) for symbol in held}
        settled, renames = {}, []
        for symbol, (fetch, rows) in held.items():
            settled[symbol] = fetch
            if other := conflicts[symbol]:
                self._owners.forget(symbol)
                settled[symbol] = fetch._replace(
                    outcome=Outcome.MALFORMED,
                    first_session=None,
                    last_session=None,
                    missing_sessions=(),
                    detail=_same_bars(symbol, other),
                )
            else:
                renames += self._renames(fetch, rows)
        self._parts.backend.ledger.record(*settled.values(), *renames)
        return settled

    def _renames(self, fetch: Fetch, rows: PriceRows) -> list[Fetch]:
        """Return the entry of a renamed ticker: the listing of a symbol that has left the universe ends here."""
        begins = self._parts.universe.listings_of(fetch.symbol)[-1].first_session
        renamed = self._owners.earlier_ticker(rows) if begins is not None else None
        if begins is None or renamed is None:
            return []
        earlier, first = renamed
        rename = Fetch(
            earlier,
            FetchKind.RENAMES,
            fetch.fetched_at,
            Outcome.OK,
            response_key=fetch.response_key,
            first_session=first,
            last_session=begins - timedelta(days=1),
            detail=f"{earlier}: renamed to {fetch.symbol} on {begins}",
        )
        return [rename]


class PriceReader:
    """Reads the responses of files. A file has arrived already, so nothing is held.

    Of two symbols without history that have the same bars, the second one is rejected. `is_ambiguous` is then true for
    the first one, too: reading it again rejects it.
    """

    def __init__(self, parts: PipelineParts, ledger: LedgerTable) -> None:
        self._parts = parts
        self._owners = ResponseOwners(parts, ledger)

    def __call__(self, symbol: str, body: bytes, response_key: str, arrived: datetime) -> Fetch:
        """Return the entry of a response.

        Raises:
            SourceError: as for `ResponseReader.read`.
        """
        rows = _rows(self._parts.source, symbol, body, arrived)
        fetch = _entry(symbol, body, rows, response_key, arrived)
        self._owners.check(symbol, rows, fetch.content_hash)
        if other := self._owners.conflict(symbol):
            raise WrongSymbol(_same_bars(symbol, other).removeprefix(f"{symbol}: "), symbol=symbol)
        return fetch

    def is_ambiguous(self, symbol: str) -> bool:
        """Return whether another symbol without history has the same bars."""
        return self._owners.conflict(symbol) is not None


def _rows(source: PriceSource, symbol: str, body: bytes, arrived: datetime) -> PriceRows:
    """Return the rows of a response, without those of days after its arrival."""
    return source.read_prices(body, symbol).until(arrived.astimezone(NEW_YORK).date(), symbol)


def describe_rows(
    source: PriceSource, symbol: str, body: bytes, response_key: str, arrived: datetime
) -> tuple[date, date, tuple[date, ...]]:
    """Return the first and last session of a response, and the sessions between them that it does not contain.

    A response that arrived after the clock was set back contains no complete bar of the sessions that closed between
    the time of the clock and the recorded time. It says so, because an earlier response may seem to contain them.

    Raises:
        SourceError: the response cannot be read.
    """
    rows = _rows(source, symbol, body, clock_time(response_key) or arrived)
    return _range(rows.sessions, response_key, arrived)


def _range(newest_first: Sequence[date], response_key: str, arrived: datetime) -> tuple[date, date, tuple[date, ...]]:
    clock = clock_time(response_key)
    incomplete = sessions_closing(clock, min(arrived, clock + _OPEN_FOR)) if clock else []
    first, last = newest_first[-1], max([newest_first[0], *incomplete])
    held = set(newest_first) - set(incomplete)
    return first, last, tuple(one for one in sessions_between(first, last) if one not in held)


def _entry(symbol: str, body: bytes, rows: PriceRows, response_key: str, arrived: datetime) -> Fetch:
    sessions = rows.sessions
    first, last, missing = _range(sessions, response_key, arrived)
    summary = f"{plural(len(set(sessions)), 'session')}, {sessions[-1]} to {sessions[0]}"
    return Fetch(
        symbol=symbol,
        kind=FetchKind.PRICES,
        fetched_at=arrived,
        outcome=Outcome.OK,
        response_key=response_key,
        first_session=first,
        last_session=last,
        missing_sessions=missing,
        content_hash=content_hash(body),
        calls=1,
        detail="; ".join(filter(None, [summary, rows.describe_unusable()])),
    )


def _same_bars(symbol: str, other: str) -> str:
    return (
        f"{symbol}: the response has the same bars as the response of {other}, and neither symbol has stored bars that "
        "show which one is right"
    )
