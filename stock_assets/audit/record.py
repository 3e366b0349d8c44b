"""Records of audits: the verdicts on a load, under digests of everything that they depend on.

Belongs here: storing verdicts, and finding those on rows that have not changed since. Does not belong here: auditing
(`audits`), what a verdict means for a load (`gate`).

A record lies outside staging, and so does the digest of a load and its staging tables, which staging writes. A load
that differs from its digest is neither audited nor published: no audit would find a wrong metric.

The key of a record has two digests: one of the staging tables; one of everything else that the audits read: their text
with the limits and dates of the load, the registered tables (universe, splits, sessions, responses, acknowledgements)
and the snapshots of the published tables. So a record is found only if nothing has changed, and publishing then needs
no second audit.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from stock_assets.audit.audits import audit_statement, run_audits
from stock_assets.backends.interface import Objects, SqlConnection
from stock_assets.backends.stored_records import fields_of, read_record, record_body
from stock_assets.core.errors import DamagedFiles, ObjectExists, StagedRowsChanged
from stock_assets.core.sql import SqlValue
from stock_assets.loads.audit_files import audits
from stock_assets.loads.load import Load, audits_folder, staging_key
from stock_assets.loads.verdict import BadRow, Verdict

_ROWS = ("sample", "named", "quarantined")
"""Attributes of a verdict that are bad rows."""


def audit_and_record(objects: Objects, sql: SqlConnection, load: Load, values: Mapping[str, SqlValue]) -> list[Verdict]:
    """Audit a load and store the verdicts.

    Raises:
        StagedRowsChanged: the staging tables or the record of the load have changed since they were written.
    """
    return _audit(objects, sql, values, _key(objects, sql, load, values))


def recorded_or_audit(
    objects: Objects, sql: SqlConnection, load: Load, values: Mapping[str, SqlValue]
) -> list[Verdict]:
    """Return the recorded verdicts on a load; audit it if no record exists, or if anything but its rows has changed.

    A damaged record counts as none, and so does one without a checksum.

    Raises:
        StagedRowsChanged: the staging tables or the record of the load have changed since they were written.
    """
    key = _key(objects, sql, load, values)
    if key in objects.keys(audits_folder(load.load_id)):
        with suppress(DamagedFiles):
            return [_verdict(stored) for stored in read_record(objects, key, with_checksum=True)]
    return _audit(objects, sql, values, key)


def _audit(objects: Objects, sql: SqlConnection, values: Mapping[str, SqlValue], key: str) -> list[Verdict]:
    verdicts = run_audits(sql, values)
    body = record_body([_stored(verdict) for verdict in verdicts])
    # The same audit may run again, or in another process.
    with suppress(ObjectExists):
        objects.put(key, body)
    return verdicts


def _key(objects: Objects, sql: SqlConnection, load: Load, values: Mapping[str, SqlValue]) -> str:
    """Return the key of the record of an audit of the load as it is now."""
    digests = sql.digests()
    if staging_key(load, digests.staging) not in objects.keys(audits_folder(load.load_id)):
        raise StagedRowsChanged(
            f"published/daily_prices, sessions {load.start_date} to {load.end_date}: load {load.load_id} was not "
            "published, because its staging tables have changed since they were written. Stage and publish these "
            "sessions again; if the error returns, find the program that writes below staged/."
        )
    others = hashlib.sha256(f"{digests.inputs}\n{audit_statement(values)}".encode()).hexdigest()
    return f"{audits_folder(load.load_id)}{digests.staging}/{others}.json"


def _stored(verdict: Verdict) -> dict[str, Any]:
    rows = {name: [fields_of(row) for row in getattr(verdict, name)] for name in _ROWS}
    return fields_of(verdict) | {"audit": verdict.audit.name} | rows


def _verdict(stored: dict[str, Any]) -> Verdict:
    [audit] = [audit for audit in audits() if audit.name == stored["audit"]]
    return Verdict(
        **{
            **stored,
            "audit": audit,
            "sessions": tuple(date.fromisoformat(day) for day in stored["sessions"]),
            **{name: tuple(map(_bad_row, stored[name])) for name in _ROWS},
        }
    )


def _bad_row(stored: dict[str, str | None]) -> BadRow:
    day = stored["trade_date"]
    return BadRow(stored["symbol"], date.fromisoformat(day) if day else None, stored["detail"] or "")
