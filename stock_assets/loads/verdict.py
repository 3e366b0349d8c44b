"""The result of one audit of one load.

Belongs here: bad rows, and what they mean for the load. Does not belong here: running audits (`audit.audits`), the
records of verdicts (`audit.record`) and of rejected loads (`rejections`).
"""

from dataclasses import dataclass
from datetime import date

from stock_assets.loads.audit_files import Audit, AuditKind


@dataclass(frozen=True)
class BadRow:
    """One bad row; symbol or trade_date is None if the audit is about a whole session or table."""

    symbol: str | None
    trade_date: date | None
    detail: str

    def __str__(self) -> str:
        """Return symbol, session and detail on one line."""
        subject = " ".join(str(part) for part in (self.symbol, self.trade_date) if part is not None)
        return f"{subject}: {self.detail}" if subject else self.detail


@dataclass(frozen=True)
class Verdict:
    """Result of one audit of one load.

    Attributes:
        audit: the audit.
        bad_rows: number of bad rows, quarantined rows included.
        blocks: whether the load may not be published.
        sample: the first bad rows.
        sessions: all sessions that the bad rows name, in order; if some bad rows are quarantined and others are not,
            only the sessions of the others.
        named: the first bad rows and one of each session, without quarantined rows.
        quarantined: the same of the quarantined rows, and the first of each excluded session.
        acknowledged: number of further rows that a user has acknowledged (`loads.acknowledgements`).
    """

    audit: Audit
    bad_rows: int
    blocks: bool
    sample: tuple[BadRow, ...]
    sessions: tuple[date, ...] = ()
    named: tuple[BadRow, ...] = ()
    quarantined: tuple[BadRow, ...] = ()
    acknowledged: int = 0

    @property
    def excludes(self) -> bool:
        """Return whether the sessions of the bad rows are excluded from the load."""
        return self.audit.kind is AuditKind.SESSION and bool(self.bad_rows)

    @property
    def passed(self) -> bool:
        """Return whether the audit found no bad row."""
        return self.bad_rows == 0

    @property
    def summary(self) -> str:
        """The number of bad rows and the first one with its symbol and session, on one line."""
        if self.passed:
            return "no bad rows"
        return f"{self.bad_rows} bad {'row' if self.bad_rows == 1 else 'rows'}, first: {self.sample[0]}"
