"""The audit files under `sql/audit`: their kinds and their list.

Belongs here: finding and describing audits. Does not belong here: running the audits of a load (`audit.audits`), naming
a file that the engine does not accept (`broken_audits`).

An audit is one SELECT that returns the bad rows as (symbol, trade_date, detail). Its folder decides what happens to a
bad row:

- `row/`: the bar is quarantined, the rest of the load is published. The file reads `${bars}`.
- `session/`: the session is excluded from the load; the other sessions are published. A load of which every session is
  excluded is rejected.
- `load/`: the whole load is rejected.
- `warning/`: the row is reported and blocks nothing.
- `schema/`: as `load/`, and evaluated first: the other audits need the columns that it checks.

An audit outside `session/` that compares symbols with each other has the line `-- scope: all symbols`: of a large load,
the other audits see one chunk of symbols after another.

To add an audit, add a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from stock_assets.core.sql import Fragment, SqlValue, Statement, statement, statements

ALL_SYMBOLS = "all symbols"


class AuditKind(StrEnum):
    """Consequence of a bad row; the value is the folder below `sql/audit`."""

    SCHEMA = "schema"
    ROW = "row"
    SESSION = "session"
    LOAD = "load"
    WARNING = "warning"


@dataclass(frozen=True)
class Audit:
    """One audit; its name states what is true of good rows."""

    kind: AuditKind
    file: Statement

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.file.name

    @property
    def compares_symbols(self) -> bool:
        """Return whether the audit needs all symbols at once; the others find the same rows chunk by chunk."""
        return self.kind in (AuditKind.SCHEMA, AuditKind.SESSION) or self.file.scope == ALL_SYMBOLS

    @property
    def can_block(self) -> bool:
        """Return whether a bad row of this audit can keep a load from being published."""
        return self.kind is not AuditKind.WARNING

    def bind_named(self, values: Mapping[str, SqlValue]) -> str:
        """Return the bound SELECT of the bad rows, with the name of the audit as its first column."""
        bad_rows = Fragment(self.file.bind(values))
        return statement("audit/named.sql").bind({"audit": self.name, "bad_rows": bad_rows})


def bound_audits(values: Mapping[str, SqlValue], *kinds: AuditKind) -> list[tuple[Audit, str]]:
    """Return the audits of some kinds, each with its bound SELECT."""
    return [(audit, audit.bind_named(values)) for audit in audits() if audit.kind in kinds]


def audit_names(kind: AuditKind) -> list[str]:
    """Return the names of the audits of one kind."""
    return [audit.name for audit in audits() if audit.kind is kind]


@cache
def audits() -> tuple[Audit, ...]:
    """Return all audits in the order in which they are evaluated."""
    return tuple(Audit(kind, file) for kind in AuditKind for file in statements(f"audit/{kind}"))
