"""Find the symbols with the same bars as a response, without a comparison with each symbol.

Belongs here: the index. Does not belong here: what equal bars prove (`response_owner`).
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date

Bars = Mapping[date, tuple[float, ...]]
"""The prices of each session."""


class BarIndex:
    """The symbols that have each bar.

    A bar that only one symbol has, as almost all, costs one entry of a dictionary: ten thousand symbols with a hundred
    bars each need about 100 MB.
    """

    def __init__(self) -> None:
        self._symbols: dict[int, str | frozenset[str]] = {}

    def add(self, symbol: str, bars: Bars) -> None:
        """Add the bars of a symbol; bars that were added earlier stay."""
        for bar in bars.items():
            key = hash(bar)
            found = self._symbols.setdefault(key, symbol)
            if found is not symbol and found != symbol:
                self._symbols[key] = _as_set(found) | {symbol}

    def similar(self, bars: Bars, at_least: int) -> set[str]:
        """Return the symbols that have at least some of the bars; a few more, if different bars have equal hashes."""
        counted = Counter[str]()
        for bar in bars.items():
            if (found := self._symbols.get(hash(bar))) is not None:
                counted.update(_as_set(found))
        return {symbol for symbol, count in counted.items() if count >= at_least}


def _as_set(symbols: str | frozenset[str]) -> frozenset[str]:
    return frozenset({symbols}) if isinstance(symbols, str) else symbols
