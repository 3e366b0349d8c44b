"""The limits of the audits: how incomplete a session may be and still be published.

Belongs here: the limits as values. Does not belong here: their defaults (`settings`), comparing a load with them
(`sql/audit`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of the audits; both are shares from 0 to 1.

    Attributes:
        min_coverage: smallest share of the listed symbols that must have a bar in a session.
        max_quarantined_share: largest share of a session's symbols that may be quarantined; one symbol always may.
    """

    min_coverage: float
    max_quarantined_share: float


UNEXPLAINED_JUMP = 0.4
"""A close that moves by more than this share of the previous close, without a split, is reported as a jump."""
