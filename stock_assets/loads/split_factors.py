"""The split factors that published rows follow, as a record under their digest, and the days on which others differ.

Belongs here: comparing the factors of two times, their digest, writing, reading and removing the records. Does not
belong here: computing a factor (`ingest.splits`), which snapshot follows which factors (`stage.stale_factors`).

A snapshot of published.daily_prices has only the digest of its factors. The record is named by the digest, so the
record of a snapshot is found after a rollback too. A record may be missing at any time, such as after an
upgrade: then all published rows are compared instead of those of the symbols whose factors have changed.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import zip_longest

import pyarrow as pa

from stock_assets.backends.interface import Backend
from stock_assets.backends.stored_records import read_record, record_body
from stock_assets.core.errors import DamagedFiles, ObjectExists
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.loads.load import SPLITS_PROPERTY

FOLDER = "staged/splits/"
_ONE_DAY = timedelta(days=1)

Days = tuple[date, date]
"""First and last day of a range; `date.max` if it has no end."""


@dataclass(frozen=True)
class SplitFactors:
    """The split factors of all symbols.

    Attributes:
        steps: for each symbol, the factor from each of some days on, oldest first; before the first one it is 1.
    """

    steps: Mapping[str, Mapping[date, float]]

    @cached_property
    def digest(self) -> str:
        """Digest of all factors."""
        return _digest(_texts(self))

    def days_that_differ(self, others: "SplitFactors") -> dict[str, Days]:
        """Return the symbols that have another factor on any day, with the range of these days."""
        found = {
            symbol: _days_that_differ(self.steps.get(symbol, {}), others.steps.get(symbol, {}))
            for symbol in sorted(self.steps.keys() | others.steps.keys())
            if self.steps.get(symbol) != others.steps.get(symbol)
        }
        return {symbol: days for symbol, days in found.items() if days is not None}


def split_factors(splits: pa.Table) -> SplitFactors:
    """Return the factors of the relation `splits` (`ingest.splits.split_table`)."""
    steps: dict[str, dict[date, float]] = {}
    columns = (splits[name].to_pylist() for name in ("symbol", "ex_date", "split_factor"))
    for symbol, day, factor in zip(*columns, strict=True):
        # Of two splits on one day, the relation has the first one for no day.
        steps.setdefault(symbol, {})[day] = factor
    return SplitFactors(steps)


def record_factors(backend: Backend, factors: SplitFactors) -> None:
    """Record the factors under their digest; do nothing if they are recorded."""
    with suppress(ObjectExists):
        backend.objects.put(_key(factors.digest), record_body(_texts(factors)))


def recorded_factors(backend: Backend, digest: str) -> SplitFactors | None:
    """Return the factors of a digest; None if they are not recorded, or if the record is damaged."""
    try:
        texts = read_record(backend.objects, _key(digest))
    except (KeyError, DamagedFiles):
        return None
    if _digest(texts) != digest:
        return None
    return SplitFactors({symbol: dict(map(_step, text.split(", "))) for symbol, text in texts.items()})


def drop_unused_factors(backend: Backend, *, older_than: timedelta, now: datetime) -> None:
    """Drop old records of factors that no snapshot of published.daily_prices follows."""
    followed = {snapshot.properties.get(SPLITS_PROPERTY) for snapshot in backend.warehouse.history(DAILY_PRICES)}
    needed = {_key(digest) for digest in followed if digest is not None}
    for entry in backend.objects.entries(FOLDER):
        # A load that is not published yet may have written a young one.
        if entry.key not in needed and entry.modified_at < now - older_than and not entry.problem:
            backend.objects.delete(entry.key)


def _days_that_differ(one: Mapping[date, float], other: Mapping[date, float]) -> Days | None:
    days = sorted(one.keys() | other.keys())
    factor = of_other = 1.0
    found: Days | None = None
    for day, following in zip_longest(days, days[1:]):
        factor, of_other = one.get(day, factor), other.get(day, of_other)
        if factor != of_other:
            found = found[0] if found else day, following - _ONE_DAY if following else date.max
    return found


def _texts(factors: SplitFactors) -> dict[str, str]:
    """Return the content of the record: for each symbol one text, since there may be thousands."""
    return {
        symbol: ", ".join(f"{day} {factor!r}" for day, factor in steps.items())
        for symbol, steps in sorted(factors.steps.items())
    }


def _step(text: str) -> tuple[date, float]:
    day, factor = text.split(" ")
    return date.fromisoformat(day), float(factor)


def _digest(texts: object) -> str:
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


def _key(digest: str) -> str:
    return f"{FOLDER}{digest}.json"
