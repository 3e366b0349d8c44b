"""The recorded sample: real prices from a Python package, in the format of the live API.

The data are `bokeh-sampledata` (BSD-3): unadjusted daily bars of AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to
2013-03-01. Belongs here: converting that package to responses. Does not belong here: anything the live source needs.
"""

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib import import_module
from io import StringIO
from typing import TypedDict

from stock_assets.core.calendar import is_session
from stock_assets.core.errors import NotATradingSession, NotListed, NotRecorded, SettingsError, UnknownSymbol
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.sources.interface import PriceSource

FIRST_SESSION = date(2000, 3, 1)
LAST_SESSION = date(2013, 3, 1)
LABEL = f"recorded sample, ends {LAST_SESSION}"
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")

# The package contains prices only. Ex-dates and ratios are public record (investor relations of Apple and Microsoft);
# the recorded prices halve on exactly these sessions.
_SPLITS: dict[str, tuple[tuple[str, str], ...]] = {
    "AAPL": (("2005-02-28", "2.0000"), ("2000-06-21", "2.0000")),
    "MSFT": (("2003-02-18", "2.0000"),),
}


class _Series(TypedDict):
    date: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[int]


class RecordedSource(PriceSource):
    """Returns responses from the recording; a session outside it is a typed error, never an empty success."""

    @property
    def label(self) -> str:
        """Label of the sample, with its last session."""
        return LABEL

    @property
    def vendor(self) -> str:
        """Name of the sample."""
        return "recorded_sample"

    @property
    def first_session(self) -> date:
        """First session of the recording."""
        return FIRST_SESSION

    @property
    def last_session(self) -> date:
        """Last session of the recording."""
        return LAST_SESSION

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        """Return the whole series of a symbol.

        Raises:
            UnknownSymbol: the symbol is not one of the five recorded ones.
            NotRecorded: a requested session is outside the recording.
            NotATradingSession: on a requested day the exchange was closed.
            NotListed: a requested session is before the symbol's first session.
        """
        series = _series(symbol)
        for session in sessions:
            _check_available(symbol, session, date.fromisoformat(series["date"][0]))
        out = StringIO(newline="")
        out.write(",".join(RAW_COLUMNS) + "\r\n")
        bars = zip(*(series[name] for name in ("date", *RAW_COLUMNS[1:])), strict=True)  # type: ignore[literal-required]
        for day, open_, high, low, close, volume in reversed(list(bars)):
            out.write(f"{day},{open_:.4f},{high:.4f},{low:.4f},{close:.4f},{volume}\r\n")
        return out.getvalue().encode()

    def fetch_splits(self, symbol: str) -> bytes:
        """Return the splits of the recorded years."""
        _series(symbol)
        data = [{"effective_date": day, "split_factor": ratio} for day, ratio in _SPLITS.get(symbol, ())]
        return json.dumps({"symbol": symbol, "data": data}).encode()

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Do nothing: this source raises errors itself and returns no error messages."""


def _check_available(symbol: str, session: date, first: date) -> None:
    if not FIRST_SESSION <= session <= LAST_SESSION:
        raise NotRecorded(
            f"the recorded sample covers {FIRST_SESSION} to {LAST_SESSION}, not {session}; "
            "set STOCK_ASSETS_SOURCE=alpha_vantage for live prices",
            symbol=symbol,
            session=session,
        )
    if not is_session(session):
        raise NotATradingSession(f"the exchange was closed on {session}", symbol=symbol, session=session)
    if session < first:
        raise NotListed(f"it was first listed on {first}, after {session}", symbol=symbol, session=session)


@cache
def _series(symbol: str) -> _Series:
    if symbol not in SYMBOLS:
        raise UnknownSymbol(f"the recorded sample contains only {', '.join(SYMBOLS)}", symbol=symbol)
    try:
        recording = import_module("bokeh_sampledata.stocks")
    except ModuleNotFoundError as error:
        raise SettingsError(
            "STOCK_ASSETS_SOURCE=recorded needs the package bokeh-sampledata: pip install 'stock-assets[recorded]'"
        ) from error
    series: _Series = getattr(recording, symbol)
    return series
