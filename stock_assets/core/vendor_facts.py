"""What is known about a vendor: its key's variable, and what it states about symbols besides their bars.

Belongs here: the types of splits, available history and search results, which every step after a source uses; the
name of the key, which settings and sources use. Does not belong here: how a source finds them
(`sources`), or the stored splits (`ingest.splits`).
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

API_KEY_VARIABLE = "ALPHAVANTAGE_API_KEY"
"""Environment variable of the API key; its name, never its value, is part of definitions."""


@dataclass(frozen=True)
class Split:
    """One split: from `ex_date` on, one earlier share counts as `ratio` shares."""

    ex_date: date
    ratio: Decimal


@dataclass(frozen=True)
class AvailableHistory:
    """The earliest session that responses contain at present.

    Attributes:
        first: earliest available session.
        why: reason of that limit and how to lift it, for messages.
    """

    first: date
    why: str


@dataclass(frozen=True)
class SymbolMatch:
    """A symbol that the vendor's search has found, as the vendor describes it."""

    symbol: str
    name: str
    kind: str
    region: str
    currency: str

    def __str__(self) -> str:
        """Format the match, for messages."""
        return f"{self.symbol} ({', '.join(filter(None, (self.name, self.kind, self.region, self.currency)))})"
