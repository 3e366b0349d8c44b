"""Publish a staged load whose rows are audited: commit them in one step or reject the load.

Belongs here: the gate and the commit, in one function, so that no way of launching a run bypasses the gate.
Does not belong here: what the audits are (`audit`), how a backend commits (`backends`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.audit.gate import reject_if_blocked
from stock_assets.audit.record import recorded_or_audit
from stock_assets.backends.interface import SqlConnection
from stock_assets.core.errors import ConcurrentPublish, StagingOutdated
from stock_assets.core.retry import retrying
from stock_assets.core.signals import postponed_signals
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, STAGED_PRICES, STAGED_QUARANTINE, Table
from stock_assets.core.text import plural
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import SPLITS_PROPERTY, Load, newest_load
from stock_assets.stage.staging import stage

ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 2.0
_TARGETS = ((QUARANTINED_PRICES, STAGED_QUARANTINE), (DAILY_PRICES, STAGED_PRICES))
_CHANGES = ("added", "removed")


@dataclass(frozen=True)
class Commit:
    """The effect of publishing one table; `added` and `removed` are rows, and a changed row counts in both."""

    snapshot_id: int | None
    added: int
    removed: int

    @property
    def changed(self) -> bool:
        """Return whether a new snapshot was committed."""
        return bool(self.added or self.removed)

    def summary(self) -> str:
        """Return one line for a log."""
        if not self.changed:
            return "no rows changed, no new snapshot"
        return f"{plural(self.added, 'row')} added, {self.removed:,} removed, snapshot {self.snapshot_id}"


@dataclass(frozen=True)
class Published:
    """Result of publishing a load: the commits to the two tables."""

    load: Load
    prices: Commit
    quarantine: Commit


def publish(
    parts: PipelineParts, sessions: Sequence[date], *, pause: Callable[[float], None] = time.sleep
) -> Published:
    """Publish the newest staged load of these sessions, without the sessions that session audits exclude.

    The metrics of a load depend on published rows around it. If another writer has committed since the load was
    staged, it is staged again on top of that commit; the table ends the same in whichever order the commits come.

    Raises:
        NothingStaged: no load of exactly these sessions is staged.
        LoadRejected: a blocking audit found bad rows in the rows that would be committed, or every session is excluded.
        ConcurrentPublish: other writers were faster in every attempt, or another process of this machine did not end.
        StagingOutdated: limits or universe changed again in every attempt.
    """
    with parts.backend.publishing():
        return _publish(parts, sessions, pause)


def _publish(parts: PipelineParts, sessions: Sequence[date], pause: Callable[[float], None]) -> Published:
    loads = _loads_to_publish(parts, sessions)
    retry = retrying(
        attempts=ATTEMPTS,
        longest_seconds=LONGEST_PAUSE_SECONDS,
        on=(ConcurrentPublish, StagingOutdated),
        sleep=pause,
    )
    return retry(lambda: _publish_once(parts, next(loads)))


def _loads_to_publish(parts: PipelineParts, sessions: Sequence[date]) -> Iterator[Load]:
    """Yield the newest staged load of the sessions, then a new load of the sessions for each further attempt."""
    load = newest_load(parts.backend, sessions)
    yield load
    while True:
        yield stage(parts, [load.start_date, load.end_date], coverage_symbols=load.coverage_symbols)


def _publish_once(parts: PipelineParts, load: Load) -> Published:
    with parts.backend.warehouse.connect(load.load_id) as sql:
        if sql.base(DAILY_PRICES) != load.base_snapshot:
            raise ConcurrentPublish(
                f"published.daily_prices has changed since load {load.load_id} was staged. Run the step again."
            )
        values = inputs(parts, sql, load)
        sources = {target: _rows_to_commit(sql, target, source, values, load) for target, source in _TARGETS}
        reject_if_blocked(parts, load, recorded_or_audit(parts.backend.objects, sql, load, values))
        changes = _changes(sql, sources, load)
        # Quarantine first: if the process is killed between the two, a bar may be in quarantine too early, never lost.
        with postponed_signals():
            quarantine, prices = (_replace(sql, target, sources[target], load, changes) for target in sources)
    return Published(load, prices, quarantine)


def _rows_to_commit(
    sql: SqlConnection, target: Table, source: Table, values: Mapping[str, SqlValue], load: Load
) -> Table | Fragment:
    """Return the relation that replaces the range of a table.

    An excluded session keeps the rows that it has. Staging took its prices from the published table; its quarantine is
    taken from there now, because the session audits read the quarantine of the whole load.
    """
    if target is DAILY_PRICES or not load.excluded:
        return source
    marks = dict(values) | _marks(sql, target, source, load)
    return Fragment(f"({statement('publish/quarantine_to_commit.sql').bind(marks)})")


def _marks(sql: SqlConnection, target: Table, rows: Table | Fragment, load: Load) -> dict[str, SqlValue]:
    first, last = _range(target, load)
    return {
        "columns": Fragment(", ".join(target.column_names)),
        "staged_rows": rows if isinstance(rows, Fragment) else sql.name(rows),
        "published_rows": sql.name(target),
        "first_date": first,
        "last_date": last,
    }


def _changes(sql: SqlConnection, sources: Mapping[Table, Table | Fragment], load: Load) -> dict[str, int]:
    """Count the rows that the commits would add and remove, with one statement; a changed row counts in both.

    Where no published row can be in the range, all rows of the load are new, and nothing is compared.
    """
    staged = {DAILY_PRICES: load.rows, QUARANTINED_PRICES: load.quarantined}
    new = {
        target
        for target, rows in sources.items()
        if isinstance(rows, Table) and not sql.may_have_rows(target, *_range(target, load))
    }
    counts = {f"added {target.full_name}": staged[target] for target in new}
    selects = [
        statement("audit/named.sql").bind(
            {
                "audit": f"{change} {target.full_name}",
                "bad_rows": Fragment(statement(f"publish/{change}.sql").bind(_marks(sql, target, rows, load))),
            }
        )
        for target, rows in sources.items()
        if target not in new
        for change in _CHANGES
    ]
    if not selects:
        return counts
    changes = statement("publish/changes.sql").bind({"changes": Fragment("\nUNION ALL\n".join(selects))})
    for found in sql.each_chunk(lambda: sql.query(changes).to_pylist()):
        for row in found:
            counts[row["change"]] = counts.get(row["change"], 0) + row["changed_rows"]
    return counts


def _replace(
    sql: SqlConnection, target: Table, rows: Table | Fragment, load: Load, counts: Mapping[str, int]
) -> Commit:
    """Commit the rows of one table, unless the published rows are equal to them."""
    added, removed = (counts.get(f"{change} {target.full_name}", 0) for change in _CHANGES)
    if not added and not removed:
        return Commit(sql.base(target), 0, 0)
    first, last = _range(target, load)
    properties = {
        "load_id": load.load_id,
        "start_date": load.start_date.isoformat(),
        "end_date": load.end_date.isoformat(),
        "added": str(added),
        "removed": str(removed),
        SPLITS_PROPERTY: load.splits,
    }
    snapshot = sql.replace_range(target, rows, first=first, last=last, properties=properties)
    return Commit(snapshot, added, removed)


def _range(target: Table, load: Load) -> tuple[date, date]:
    return (load.first_date, load.last_date) if target is DAILY_PRICES else (load.first_day, load.last_day)
