"""Publishes a staged load: audit what would be committed, commit it at once, or refuse.

Belongs here: the gate and the commit, in one function, so that no way of launching a run gets past the gate.
Does not belong here: what the audits are (`audit`), how a home commits (`homes`).
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.audit.audits import judge
from stock_assets.audit.gate import refuse_if_blocked
from stock_assets.errors import ConcurrentPublish
from stock_assets.homes.interfaces import Commit, Home, SqlSession
from stock_assets.ingest.source import PriceSource
from stock_assets.sql import Fragment, SqlValue, statement
from stock_assets.stage.inputs import Limits, inputs
from stock_assets.stage.load import Load, newest
from stock_assets.stage.staging import stage
from stock_assets.tables import DAILY_PRICES, QUARANTINED_PRICES, STAGED_PRICES, STAGED_QUARANTINE, Table
from stock_assets.universe import Universe

ATTEMPTS = 8
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Published:
    """What publishing a load did to the two tables."""

    load: Load
    prices: Commit
    quarantine: Commit


def publish(
    home: Home,
    source: PriceSource,
    universe: Universe,
    sessions: Sequence[date],
    *,
    limits: Limits,
    pause: Callable[[float], None] = time.sleep,
) -> Published:
    """Publish the newest staged load of these sessions.

    The metrics of a load depend on published rows around it. If another writer has committed since the load was
    staged, it is staged again on top of that commit; whichever order the commits come in, the table ends the same.

    Raises:
        NothingStaged: no load of exactly these sessions is staged.
        AuditRefused: a blocking audit found bad rows in what would be committed.
        ConcurrentPublish: other writers were faster in every attempt.
    """
    load = newest(home, sessions)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _publish_once(home, universe, load, limits)
        except ConcurrentPublish:
            if attempt == ATTEMPTS:
                raise
        pause(random.uniform(0, min(0.1 * 2**attempt, _LONGEST_PAUSE_SECONDS)))  # noqa: S311 (jitter)
        load = stage(home, source, universe, [load.start_date, load.end_date], limits=limits)
    raise AssertionError("unreachable")


def _publish_once(home: Home, universe: Universe, load: Load, limits: Limits) -> Published:
    with home.warehouse.open(load.load_id) as sql:
        if sql.base(DAILY_PRICES) != load.base_snapshot:
            raise ConcurrentPublish("published.daily_prices has changed since the load was staged")
        values = inputs(home, sql, universe, load, limits=limits)
        refuse_if_blocked(home, universe, load, judge(sql, values), limits=limits)
        # Quarantine first: if the process dies between the two, a bar may be in quarantine too early, never lost.
        quarantine = _replace(sql, values, QUARANTINED_PRICES, STAGED_QUARANTINE, load)
        prices = _replace(sql, values, DAILY_PRICES, STAGED_PRICES, load)
    return Published(load, prices, quarantine)


def _replace(sql: SqlSession, values: dict[str, SqlValue], target: Table, source: Table, load: Load) -> Commit:
    """Commit the staged rows of one table, unless they are what is published already."""
    first, last = (load.first_date, load.last_date) if target is DAILY_PRICES else (load.start_date, load.end_date)
    tables: dict[str, SqlValue] = {
        "columns": Fragment(", ".join(target.column_names)),
        "staged_rows": sql.name(source),
        "published_rows": sql.name(target),
        "first_date": first,
        "last_date": last,
    }
    changes = sql.query(statement("publish/changes.sql").bind(values | tables)).to_pylist()
    counts = {row["change"]: row["change_rows"] for row in changes}
    if not any(counts.values()):
        return Commit(sql.base(target), 0, 0)
    properties = {
        "load_id": load.load_id,
        "start_date": load.start_date.isoformat(),
        "end_date": load.end_date.isoformat(),
        "added": str(counts["added"]),
        "removed": str(counts["removed"]),
    }
    snapshot = sql.replace_range(target, source, first=first, last=last, properties=properties)
    return Commit(snapshot, counts["added"], counts["removed"])
