"""The damaged and missing files of a backend.

Belongs here: how a backend reports them. Does not belong here: finding them (the backends), texts for people
(`backends.damage_texts`), repairs (`maintenance.repair`).
"""

from dataclasses import dataclass
from enum import StrEnum

from stock_assets.core.tables import Table


class Part(StrEnum):
    """A part of a backend in which files can be damaged."""

    LAYOUT = "layout"
    """The file that records the layout version."""
    LEDGER = "ledger"
    CALLS = "calls"
    """The calls to vendors that are counted."""
    CATALOG = "catalog"
    """The record of the current metadata file of each published table."""
    TABLE = "table"
    """A file of a published table."""
    PACK = "pack"


@dataclass(frozen=True)
class Damage:
    """A file of a backend that is missing or damaged; raw responses apart (`maintenance.verify` reads them).

    Attributes:
        part: what the file belongs to.
        file: path or address of the file.
        why: what is wrong with it.
        table: the published table that needs the file.
        snapshots: snapshots of the table that need the file; empty if all of them do.
        is_current: whether consumers need the file now.
    """

    part: Part
    file: str
    why: str
    table: Table | None = None
    snapshots: tuple[int, ...] = ()
    is_current: bool = True
