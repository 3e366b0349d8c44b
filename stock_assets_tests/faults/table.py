"""The table of results that `make test-faults` prints.

Belongs here: counting tried faults and their results. Does not belong here: the faults (the tests beside this module).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

FULL = os.environ.get("STOCK_ASSETS_TEST_FAULTS") == "full"
"""Whether every fault is tried (`make test-faults-full`), or the smaller part that CI runs."""

_HEADERS = {"wrong": "silently wrong"}


@dataclass
class Row:
    """Results of one kind of fault.

    Attributes:
        tried: faults that were tried.
        survived: the next read and the next load were right without any repair.
        repaired: they were right after the command that the message named.
        lost: rows or responses that were not there afterwards.
        duplicated: rows that were there twice.
        wrong: wrong rows that were published or read without a message.
    """

    tried: int = 0
    survived: int = 0
    repaired: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0


@dataclass
class Tally:
    """Counts of all kinds of faults."""

    rows: dict[str, Row] = field(default_factory=dict)

    def count(self, fault: str, result: str) -> None:
        """Count one tried fault, and its result: the name of a column, or `failed`."""
        row = self.rows.setdefault(fault, Row())
        row.tried += 1
        if result != "failed":
            setattr(row, result, getattr(row, result) + 1)

    def lines(self) -> Iterator[str]:
        """Yield the table as text."""
        names = [name.name for name in fields(Row)]
        yield f"{'fault':<46}" + "".join(f"{_HEADERS.get(name, name):>16}" for name in names)
        for fault, row in self.rows.items():
            yield f"{fault:<46}" + "".join(f"{getattr(row, name):>16,}" for name in names)
