"""The audit files under `sql/audit`: what kinds there are, and their list.

Belongs here: finding and describing audits. Does not belong here: running them on a load (`audit.audits`).

An audit is one SELECT that returns the bad rows as (symbol, trade_date, detail). Its folder says what a bad row leads to:

- `row/`: the bar is quarantined, the rest of the load is published. The file reads `${bars}`.
- `load/`: the whole load is rejected.
- `warning/`: the row is reported and blocks nothing.
- `schema/`: as `load/`, and evaluated first: the other audits need the columns that it checks.

To add an audit, add a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from stock_assets.core.sql import Fragment, SqlValue, Statement, statement, statements


class AuditKind(StrEnum):
    """What bad rows lead to; the value is the folder below `sql/audit`."""

    SCHEMA = "schema"
    ROW = "row"
    LOAD = "load"
    WARNING = "warning"


@dataclass(frozen=True)
class Audit:
    """One audit; its name is the truth it asserts."""

    kind: AuditKind
    file: Statement

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.file.name

    @property
    def can_block(self) -> bool:
        """Whether a bad row of this audit can keep a load from being published."""
        return self.kind is not AuditKind.WARNING

    def named(self, values: Mapping[str, SqlValue]) -> str:
        """Bind the audit, with its name as the first column of each bad row."""
        bad_rows = Fragment(self.file.bind(values))
        return statement("audit/named.sql").bind({"audit": self.name, "bad_rows": bad_rows})


@cache
def audits() -> tuple[Audit, ...]:
    """List all audits, in the order in which they are judged."""
    return tuple(Audit(kind, file) for kind in AuditKind for file in statements(f"audit/{kind}"))
