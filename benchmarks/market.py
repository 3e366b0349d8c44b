"""A made-up market: deterministic bars with splits, halts, late listings and rare bad bars, in the vendor's CSV.

Belongs here: the bars of each symbol, and a source that returns them. Does not belong here: what is measured (`suite`).

The same symbol and sessions always have the same bars, so that our pipeline and the scripts it is compared with read
equal files in any run.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.universe import Listing, Universe
from stock_assets.sources.interface import PriceSource

LATE_LISTINGS, SPLITTERS, HALTED, BAD = 5, 4, 50, 200
"""One symbol of so many is listed late, splits once, is halted for `HALT` sessions, has one bad bar."""
HALT = 12
SPLIT_RATIO = 2
COMPACT = 100
"""Sessions of a response of a free key."""


@dataclass(frozen=True)
class Market:
    """Bars of `count` symbols in all sessions from `first` to `last`."""

    count: int
    first: date
    last: date

    @cached_property
    def sessions(self) -> list[date]:
        """All sessions, oldest first."""
        return sessions_between(self.first, self.last)

    @property
    def symbols(self) -> list[str]:
        """All symbols."""
        return [f"S{number:05d}" for number in range(self.count)]

    def universe(self) -> Universe:
        """Return the universe of all symbols."""
        return Universe(tuple(Listing(symbol, f"Company {symbol}") for symbol in self.symbols))

    def response(self, symbol: str, *, until: date | None = None, compact: bool = False) -> bytes:
        """Return the vendor's CSV of a symbol, newest first; `until` is the last session, by default the market's."""
        listed = [index for index in self._listed(symbol) if until is None or self.sessions[index] <= until]
        chosen = np.array(listed[-COMPACT:] if compact else listed, dtype=np.int64)[::-1]
        days = np.array(self.sessions, dtype="datetime64[D]")[chosen]
        columns = [pa.array(days), *(pa.array(values[chosen]) for values in self._bars(symbol))]
        out = io.BytesIO()
        table = pa.table(columns, names=list(RAW_COLUMNS))
        csv.write_csv(table, out, csv.WriteOptions(include_header=False, eol="\r\n"))
        return ",".join(RAW_COLUMNS).encode() + b"\r\n" + out.getvalue()

    def split_on(self, symbol: str) -> date | None:
        """Return the ex-date of the symbol's split, or None."""
        number, length = self._number(symbol), len(self.sessions)
        at = length // 3 + number % (length // 3)
        return self.sessions[at] if number % SPLITTERS == 1 and at > self._start(symbol) else None

    def splits_response(self, symbol: str) -> bytes:
        """Return the vendor's JSON of a symbol's splits."""
        day = self.split_on(symbol)
        data = [{"effective_date": str(day), "split_factor": f"{SPLIT_RATIO}.0000"}] if day else []
        return json.dumps({"symbol": symbol, "data": data}).encode()

    def write(self, folder: Path, *, until: date | None = None, compact: bool = False) -> None:
        """Write one CSV file per symbol, and all splits as one CSV file, for the scripts of `peers`."""
        folder.mkdir(parents=True)
        lines = ["symbol,ex_date,ratio"]
        for symbol in self.symbols:
            (folder / f"{symbol}.csv").write_bytes(self.response(symbol, until=until, compact=compact))
            day = self.split_on(symbol)
            lines += [f"{symbol},{day},{SPLIT_RATIO}"] if day else []
        folder.with_suffix(".splits.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _number(self, symbol: str) -> int:
        return int(symbol[1:])

    def _start(self, symbol: str) -> int:
        number, length = self._number(symbol), len(self.sessions)
        return length // 10 + number % (length // 3) if number % LATE_LISTINGS == LATE_LISTINGS - 1 else 0

    def _listed(self, symbol: str) -> list[int]:
        middle = len(self.sessions) // 2
        halted = range(middle, middle + HALT) if self._number(symbol) % HALTED == HALTED // 2 else range(0)
        return [index for index in range(self._start(symbol), len(self.sessions)) if index not in halted]

    def _bars(self, symbol: str) -> list[NDArray[np.float64] | NDArray[np.int64]]:
        """Return open, high, low, close and volume of all sessions."""
        number, length = self._number(symbol), len(self.sessions)
        random = np.random.default_rng(1_000_003 * (number + 1))
        close = 60.0 * np.exp(np.cumsum(random.normal(0.0, 0.018, length)))
        open_ = close * (1 + random.normal(0, 0.006, length))
        high = np.maximum(open_, close) * (1 + np.abs(random.normal(0, 0.005, length)))
        low = np.minimum(open_, close) * (1 - np.abs(random.normal(0, 0.005, length)))
        volume = random.integers(100_000, 20_000_000, length)
        day = self.split_on(symbol)
        ratio = np.where([day is not None and session >= day for session in self.sessions], SPLIT_RATIO, 1)
        prices = [np.round(values / ratio, 4) for values in (open_, high, low, close)]
        if number % BAD == BAD // 2:
            prices[1][length // 3] = prices[2][length // 3] * 0.9
        return [*prices, volume * ratio]


class MarketSource(PriceSource):
    """The market as a source.

    Args:
        market: the bars.
        until: last session of responses.
        compact: whether a response has the latest 100 sessions only.
    """

    def __init__(self, market: Market, until: date, *, compact: bool = False) -> None:
        self._market = market
        self._until = until
        self._compact = compact

    @property
    def label(self) -> str:
        """Return the label."""
        return "made-up bars of a benchmark"

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:  # noqa: ARG002 (a response has its own range)
        """Return the bars, newest first."""
        return self._market.response(symbol, until=self._until, compact=self._compact)

    def fetch_splits(self, symbol: str) -> bytes:
        """Return the splits."""
        return self._market.splits_response(symbol)

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Accept every response: this source has no errors."""
