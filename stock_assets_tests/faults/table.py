"""The table of results that `make test-faults` prints.

Belongs here: counting tried faults and their results. Does not belong here: the faults (the tests beside this module).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

FULL = os.environ.get("STOCK_ASSETS_TEST_FAULTS") == "full"
"""Whether every fault is tried (`make test-faults-full`), or the smaller part that CI runs."""


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

    @property
    def others(self) -> int:
        """Number of faults with another result: the test of the fault fails, and says what happened."""
        return self.tried - self.survived - self.repaired


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
        yield f"{'fault':<46}{'tried':>7}{'survived':>10}{'repaired':>10}{'lost':>6}{'duplicated':>12}{'silently wrong':>16}"
        for fault, row in self.rows.items():
            yield (
                f"{fault:<46}{row.tried:>7}{row.survived:>10}{row.repaired:>10}{row.lost:>6}{row.duplicated:>12}"
                f"{row.wrong:>16}"
            )
