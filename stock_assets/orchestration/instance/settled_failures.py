"""Hide a run's failure from Dagster's daemon until the run is marked as failed.

Belongs here: what the local and the PostgreSQL event log share. Does not belong here: storing events.

Dagster 1.13 stores the event of a failure first, then the run's status and its tag `dagster/will_retry`. The part of
the daemon that retries killed runs reads the event, then the run, and never reads the event again. It polls every five
seconds and right after its own start; if it reads between the two writes, the run is never retried.
"""

import time
from collections.abc import Mapping
from itertools import takewhile

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import WILL_RETRY_TAG, EventLogStorage

HELD_BACK_SECONDS = 60.0
"""A process that was killed before it tagged the run never tags it. After this time the daemon decides without the tag:
it retries a failed run; run monitoring detects a run that is not marked as failed, and writes a failure itself."""


class SettledFailures(EventLogStorage):
    """Mixin for an event log; it precedes the class that stores events."""

    def get_logs_for_all_runs_by_log_id(
        self,
        after_cursor: int = -1,
        dagster_event_type: dg.DagsterEventType | set[dg.DagsterEventType] | None = None,
        limit: int | None = None,
    ) -> Mapping[int, dg.EventLogEntry]:
        """Return events in order, up to the first failure whose run is not tagged yet."""
        found = super().get_logs_for_all_runs_by_log_id(after_cursor, dagster_event_type, limit)
        return dict(takewhile(lambda item: self._is_settled(item[1]), found.items()))

    def _is_settled(self, event: dg.EventLogEntry) -> bool:
        if event.dagster_event_type is not dg.DagsterEventType.RUN_FAILURE:
            return True
        if time.time() - event.timestamp >= HELD_BACK_SECONDS:
            return True
        run = self._instance.get_run_by_id(event.run_id)
        # A deleted run cannot be retried.
        return run is None or WILL_RETRY_TAG in run.tags
