"""Acknowledged warnings: findings that a user has examined and that are not shown again.

Belongs here: storing, listing and removing them in the backend, and the relation that audits read. Does not belong
here: counting acknowledged findings (`audit.audits`), the command (`cli.acknowledge`).

An acknowledgement is one object whose key names the audit, the symbol and the session. So audits list the keys and read
no object.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa

from stock_assets.backends.interface import Objects
from stock_assets.backends.stored_records import read_record
from stock_assets.core.errors import InvalidAcknowledgement
from stock_assets.core.universe import SYMBOL
from stock_assets.loads.audit_files import AuditKind, audit_names

NO_SYMBOL = "-"
"""Stands for the symbol of a finding that concerns a whole session."""
_FOLDER = "acknowledgements/"


@dataclass(frozen=True)
class Acknowledgement:
    """One acknowledged finding.

    Attributes:
        audit: name of the warning.
        symbol: ticker, or `NO_SYMBOL`.
        session: trade date of the finding.
        reason: why the finding is right as it is.
        acknowledged_at: aware, UTC.
    """

    audit: str
    symbol: str
    session: date
    reason: str
    acknowledged_at: datetime

    @property
    def key(self) -> str:
        """Key of the stored object."""
        return f"{_FOLDER}{self.audit}/{self.symbol}/{self.session}.json"


def acknowledge(objects: Objects, audit: str, symbol: str, session: date, reason: str) -> Acknowledgement:
    """Store an acknowledgement; it replaces an earlier one of the same finding.

    Raises:
        InvalidAcknowledgement: the audit is not a warning, the symbol is no ticker, or the reason is empty.
    """
    warnings = audit_names(AuditKind.WARNING)
    if audit not in warnings:
        raise InvalidAcknowledgement(
            f"{audit!r} is not a warning. Only warnings can be acknowledged: {', '.join(warnings)}."
        )
    if symbol != NO_SYMBOL and not SYMBOL.fullmatch(symbol):
        raise InvalidAcknowledgement(
            f"{symbol!r} is not a ticker. Write it in capitals, or {NO_SYMBOL} for a finding of a whole session."
        )
    if not reason.strip():
        raise InvalidAcknowledgement("An acknowledgement needs a reason. Pass it as --reason 'text'.")
    added = Acknowledgement(audit, symbol, session, reason.strip(), datetime.now(UTC))
    objects.delete(added.key)
    stored = {"reason": added.reason, "acknowledged_at": added.acknowledged_at.isoformat()}
    objects.put(added.key, json.dumps(stored, ensure_ascii=False).encode())
    return added


def remove(objects: Objects, audit: str, symbol: str, session: date) -> None:
    """Remove an acknowledgement, so that the finding is shown again.

    Raises:
        InvalidAcknowledgement: the finding is not acknowledged.
    """
    key = Acknowledgement(audit, symbol, session, "", datetime.now(UTC)).key
    if key not in objects.keys(_FOLDER):
        raise InvalidAcknowledgement(
            f"{audit} {symbol} {session} is not acknowledged. To list all acknowledgements: "
            "stock-assets acknowledge --all"
        )
    objects.delete(key)


def acknowledgements(objects: Objects) -> list[Acknowledgement]:
    """Return all acknowledgements, sorted by audit, symbol and session."""
    found = []
    for key in objects.keys(_FOLDER):
        stored = read_record(objects, key)
        at = datetime.fromisoformat(stored["acknowledged_at"])
        found.append(Acknowledgement(*_finding(key), stored["reason"], at))
    return found


def acknowledgement_table(objects: Objects) -> pa.Table:
    """Build the relation `acknowledgements` that audits read: audit, symbol and trade_date."""
    findings = [_finding(key) for key in objects.keys(_FOLDER)]
    columns = {"audit": pa.string(), "symbol": pa.string(), "trade_date": pa.date32()}
    return pa.table(
        {name: pa.array([finding[i] for finding in findings], kind) for i, (name, kind) in enumerate(columns.items())}
    )


def _finding(key: str) -> tuple[str, str, date]:
    audit, symbol, session = key.removeprefix(_FOLDER).removesuffix(".json").split("/")
    return audit, symbol, date.fromisoformat(session)
