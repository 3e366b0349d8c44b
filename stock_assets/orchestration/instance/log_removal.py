"""Remove the logs of old runs from an event log, and keep the state of assets and checks.

Belongs here: what the local and the PostgreSQL event log share. Does not belong here: which runs are old
(`orchestration.jobs.maintenance`), storing events.

The UI reads the status of a partition from its newest materialization. With one run per session every run contains the
newest materialization of its partition, so no run can be deleted. But this event is a small part of a run: most of the
log is steps, results of checks, and events that later ones have superseded.
"""

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import dagster as dg
import sqlalchemy as db
from sqlalchemy.engine import Connection

from stock_assets.orchestration.instance.dagster_internals import (
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorage,
    SqlEventLogStorageTable,
)

NOTICE = (
    "Maintenance has removed the log of this run. Its times, the newest materialization of each partition, and the "
    "newest result of each check are kept."
)
"""The page of the run shows it."""
_EVENTS, _CHECKS, _TAGS = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, AssetEventTagsTable.c
_RUN_STATUS = [kind.value for kind in EVENT_TYPE_TO_PIPELINE_RUN_STATUS]
_BATCH = 50
"""Runs per transaction, so that other writers wait for a moment only."""


@dataclass(frozen=True)
class _Kept:
    """Ids of the rows that define the state that the UI shows."""

    events: frozenset[int]
    checks: frozenset[int]


class RemovableLogs(SqlEventLogStorage):
    """Mixin for an event log in SQL; it precedes the class that stores events."""

    def remove_logs(self, run_ids: Sequence[str]) -> None:
        """Replace the logs of ended runs by a notice, except the events that define the state of assets and checks."""
        with self.index_connection() as index:
            kept = _kept(index)
        for start in range(0, len(run_ids), _BATCH):
            with self.index_transaction() as index:
                for run_id in run_ids[start : start + _BATCH]:
                    _delete(index, run_id, kept)
                    index.execute(self.prepare_insert_event(_notice(run_id)))

    def has_notice(self, run_id: str) -> bool:
        """Return whether the log of a run was removed, if the index has the events of assets and checks only."""
        found = db.select(_EVENTS.id).where(_EVENTS.run_id == run_id, _EVENTS.dagster_event_type.is_(None)).limit(1)
        with self.index_connection() as index:
            return index.execute(found).first() is not None


def _kept(index: Connection) -> _Kept:
    # Of each kind: a failed or planned attempt after the newest materialization is part of the state.
    attempt = (_EVENTS.asset_key, _EVENTS.partition, _EVENTS.dagster_event_type)
    newest = db.select(db.func.max(_EVENTS.id)).where(_EVENTS.asset_key.is_not(None)).group_by(*attempt)
    events = set(index.execute(newest).scalars())
    check = (_CHECKS.asset_key, _CHECKS.check_name, _CHECKS.partition, _CHECKS.execution_status)
    checks = set(index.execute(db.select(db.func.max(_CHECKS.id)).group_by(*check)).scalars())
    evaluations = index.execute(db.select(_CHECKS.id, _CHECKS.evaluation_event_storage_id))
    events |= {event for row, event in evaluations if row in checks and event is not None}
    return _Kept(frozenset(events), frozenset(checks))


def _delete(index: Connection, run_id: str, kept: _Kept) -> None:
    superseded = db.or_(_EVENTS.dagster_event_type.is_(None), _EVENTS.dagster_event_type.not_in(_RUN_STATUS))
    events = set(index.execute(db.select(_EVENTS.id).where(_EVENTS.run_id == run_id, superseded)).scalars())
    _delete_rows(index, AssetEventTagsTable, _TAGS.event_id, events - kept.events)
    _delete_rows(index, SqlEventLogStorageTable, _EVENTS.id, events - kept.events)
    checks = set(index.execute(db.select(_CHECKS.id).where(_CHECKS.run_id == run_id)).scalars())
    _delete_rows(index, AssetCheckExecutionsTable, _CHECKS.id, checks - kept.checks)


def _delete_rows(index: Connection, table: db.Table, column: db.Column[int], ids: Collection[int]) -> None:
    if ids:
        # One statement with a parameter per row: SQLite allows 32,766 parameters in a statement.
        index.execute(table.delete().where(column == db.bindparam("row")), [{"row": row} for row in ids])


def _notice(run_id: str) -> dg.EventLogEntry:
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's constructor has no annotations
        error_info=None,
        level=logging.INFO,
        user_message=NOTICE,
        run_id=run_id,
        timestamp=time.time(),
        step_key=None,
        job_name=None,
        dagster_event=None,
    )
