"""The retention periods of stored data.

Belongs here: the periods. Does not belong here: deleting (`maintenance`, `orchestration.jobs.maintenance`).
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RetentionPolicy:
    """The retention periods.

    Attributes:
        staging: staging tables of a load, and what killed writers have left.
        snapshots: snapshots of published tables.
        runs: runs of the Dagster instance that no displayed state depends on.
    """

    staging: timedelta
    snapshots: timedelta
    runs: timedelta
