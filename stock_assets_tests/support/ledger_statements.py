"""The statements that the ledger's table receives.

Belongs here: recording them. Does not belong here: how many a test expects.
"""

from collections.abc import Mapping

import pytest

from stock_assets.backends.ledger_table import LedgerTable


def recorded_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each SELECT of the ledger is added from now on."""
    sent: list[str] = []
    original = LedgerTable._rows  # noqa: SLF001 (each statement passes here)

    def rows(self: LedgerTable, select: str, values: Mapping[str, object]) -> list[object]:
        sent.append(select)
        return original(self, select, values)

    monkeypatch.setattr(LedgerTable, "_rows", rows)
    return sent
