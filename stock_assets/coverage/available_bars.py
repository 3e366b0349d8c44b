"""Read which bars of some symbols and sessions are published, and which are in quarantine.

Belongs here: the bars of the published tables. Does not belong here: comparing them with the expected bars
(`missing_bars`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stock_assets.backends.interface import Backend
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES


@dataclass(frozen=True)
class Quarantined:
    """One bar in quarantine, or quarantined by a rejected load: the key of its response, what each audit found."""

    response_key: str
    reasons: Mapping[str, str]

    def __str__(self) -> str:
        """Return the audits and what they found, on one line."""
        return "quarantined by " + "; ".join(f"{audit} ({self.reasons[audit]})" for audit in sorted(self.reasons))


@dataclass(frozen=True)
class AvailableBars:
    """The bars of some symbols and sessions in the published tables; a bar in both tables counts as published.

    Attributes:
        published: whether each bar is published: a row for each symbol, a column for each session. Objects would take
            60 times as much memory, and there can be millions of bars.
        quarantined: the bars in quarantine, by symbol and session.
    """

    published: npt.NDArray[np.bool_]
    quarantined: Mapping[str, Mapping[date, Quarantined]]


def read_available_bars(backend: Backend, symbols: Sequence[str], sessions: Sequence[date]) -> AvailableBars:
    """Read the published and the quarantined bars of some symbols and sessions, both in order."""
    with backend.warehouse.connect_to_read() as sql:
        rows = sql.query(
            statement("coverage/available_bars.sql").bind(
                {
                    "published_prices": sql.name(DAILY_PRICES),
                    "published_quarantine": sql.name(QUARANTINED_PRICES),
                    "since": sessions[0],
                    "until": sessions[-1],
                }
            )
        )
    row_of, column_of = _positions(symbols), _positions(sessions)
    published = np.zeros((len(symbols), len(sessions)), np.bool_)
    quarantined: dict[str, dict[date, Quarantined]] = {}
    for batch in rows.to_batches():
        is_published = batch["quarantined_from"].is_null()
        bars = batch.filter(is_published)
        found_rows, columns = _find(bars["symbol"], row_of), _find(bars["trade_date"], column_of)
        wanted = (found_rows >= 0) & (columns >= 0)
        published[found_rows[wanted], columns[wanted]] = True
        for row in batch.filter(pc.invert(is_published)).to_pylist():
            if row["trade_date"] in column_of:
                _add_quarantined(quarantined.setdefault(row["symbol"], {}), row)
    return AvailableBars(published, quarantined)


def _positions(values: Sequence[Any]) -> dict[Any, int]:
    return {value: position for position, value in enumerate(values)}


def _find(column: pa.Array, positions: Mapping[Any, int]) -> npt.NDArray[np.int32]:
    """Return the position of each value of a column with few distinct ones, and -1 for a value that has none."""
    encoded = column.dictionary_encode()
    of_distinct = np.array([positions.get(value, -1) for value in encoded.dictionary.to_pylist()], np.int32)
    found: npt.NDArray[np.int32] = of_distinct[encoded.indices.to_numpy()]
    return found


def _add_quarantined(bars: dict[date, Quarantined], row: Mapping[str, Any]) -> None:
    """Add what one audit found in a bar to the bars of its symbol."""
    earlier = bars.get(row["trade_date"])
    reasons = {**(earlier.reasons if earlier else {}), row["audit"]: row["detail"]}
    bars[row["trade_date"]] = Quarantined(row["quarantined_from"], reasons)
