"""Shows a run's failure to Dagster's daemon only when the run itself says that it has failed.

Belongs here: what both event logs have in common, the local one and PostgreSQL's. Does not belong here: how events are
stored.

Dagster 1.13 stores the event of a failure first, then the run's status and its tag `dagster/will_retry`. What repeats
killed runs in its daemon reads the event, asks the run, and never comes back to the event: if it looks between the two,
as it may every five seconds and right after its own start, the run is never repeated.
"""

import time
from collections.abc import Mapping
from itertools import takewhile

import dagster as dg
from dagster._core.storage.event_log import EventLogStorage
from dagster._core.storage.tags import WILL_RETRY_TAG

HELD_BACK_SECONDS = 60.0
"""A process that died before it could tag the run never will. After this the daemon decides without the tag: a run that
has failed is repeated, and one that has not is found by run monitoring, which writes a failure of its own."""


class SettledFailures(EventLogStorage):
    """Mixed into an event log, in front of the class that stores."""

    def get_logs_for_all_runs_by_log_id(
        self,
        after_cursor: int = -1,
        dagster_event_type: dg.DagsterEventType | set[dg.DagsterEventType] | None = None,
        limit: int | None = None,
    ) -> Mapping[int, dg.EventLogEntry]:
        """List events in order, up to the first failure that its run does not tell of yet."""
        found = super().get_logs_for_all_runs_by_log_id(after_cursor, dagster_event_type, limit)
        return dict(takewhile(lambda item: self._is_settled(item[1]), found.items()))

    def _is_settled(self, event: dg.EventLogEntry) -> bool:
        if event.dagster_event_type is not dg.DagsterEventType.RUN_FAILURE:
            return True
        if time.time() - event.timestamp >= HELD_BACK_SECONDS:
            return True
        run = self._instance.get_run_by_id(event.run_id)
        # A run may have been deleted; then nobody can repeat it.
        return run is None or WILL_RETRY_TAG in run.tags
