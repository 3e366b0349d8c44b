"""A fake price source whose bars are written by a test, in the vendor's CSV."""

import json
from collections.abc import Mapping, Sequence
from datetime import date

from stock_assets.core.errors import SourceError
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.recorded import RecordedSource

HEADER = ",".join(RAW_COLUMNS)


class ScriptedSource(PriceSource):
    """Returns the bars that a test has set, and records the requests.

    A line is the text after the date: `open,high,low,close,volume`. `set_body` replaces a whole response, `set_failure`
    raises an error instead.
    """

    def __init__(self) -> None:
        self._bars: dict[str, list[tuple[date, str]]] = {}
        self._splits: dict[str, list[tuple[date, str]]] = {}
        self._bodies: dict[str, bytes] = {}
        self._failures: dict[str, SourceError] = {}
        self._requests: list[tuple[str, str]] = []

    @property
    def label(self) -> str:
        return "bars written by a test"

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Requests so far: (function, symbol)."""
        return self._requests

    def set_bars(self, symbol: str, bars: Mapping[date, str]) -> None:
        """Replace all bars of a symbol."""
        self._bars[symbol] = list(bars.items())

    def set_bar(self, symbol: str, session: date, line: str) -> None:
        """Replace or add one bar."""
        self._bars[symbol] = [(day, old) for day, old in self._bars.get(symbol, []) if day != session]
        self._bars[symbol].append((session, line))

    def repeat_bar(self, symbol: str, session: date) -> None:
        """Repeat a bar."""
        self._bars[symbol].append(next(bar for bar in self._bars[symbol] if bar[0] == session))

    def drop_bar(self, symbol: str, session: date) -> None:
        """Remove a bar."""
        self._bars[symbol] = [bar for bar in self._bars[symbol] if bar[0] != session]

    def set_splits(self, symbol: str, splits: Mapping[date, str]) -> None:
        """Replace the splits of a symbol: ex-date and ratio."""
        self._splits[symbol] = list(splits.items())

    def set_body(self, symbol: str, body: bytes) -> None:
        """Return exactly these bytes for price requests."""
        self._bodies[symbol] = body

    def remove_bodies(self) -> None:
        """Return the bars again, and no longer the bodies of `set_body`."""
        self._bodies.clear()

    def set_failure(self, symbol: str, failure: SourceError | None) -> None:
        """Raise an error for price requests; None removes it."""
        if failure is None:
            self._failures.pop(symbol, None)
        else:
            self._failures[symbol] = failure

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        self._requests.append(("daily_prices", symbol))
        if symbol in self._failures:
            raise self._failures[symbol]
        if symbol in self._bodies:
            return self._bodies[symbol]
        bars = sorted(self._bars.get(symbol, []), key=lambda bar: bar[0], reverse=True)
        return "".join(f"{line}\r\n" for line in [HEADER, *(f"{day},{line}" for day, line in bars)]).encode()

    def fetch_splits(self, symbol: str) -> bytes:
        self._requests.append(("splits", symbol))
        data = [{"effective_date": str(day), "split_factor": ratio} for day, ratio in self._splits.get(symbol, [])]
        return json.dumps({"symbol": symbol, "data": data}).encode()

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Do nothing: bodies are read as they are."""


def scripted_from_recording(symbols: Sequence[str], sessions: Sequence[date]) -> ScriptedSource:
    """Copy the recorded bars of some symbols and sessions into a scripted source, with all recorded splits."""
    recording, scripted = RecordedSource(), ScriptedSource()
    wanted = set(sessions)
    for symbol in symbols:
        lines = recording.fetch_prices(symbol, [max(sessions)]).decode().splitlines()[1:]
        bars = {date.fromisoformat(day): rest for day, _, rest in (line.partition(",") for line in lines)}
        scripted.set_bars(symbol, {day: bar for day, bar in bars.items() if day in wanted})
        splits = json.loads(recording.fetch_splits(symbol))["data"]
        scripted.set_splits(
            symbol, {date.fromisoformat(split["effective_date"]): split["split_factor"] for split in splits}
        )
    return scripted
