"""Which error of a failed step tells people what to do.

Belongs here: choosing one of a chain. Does not belong here: whom it is told (`watch`, `runs`).
"""

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

_OURS = "stock_assets.core.errors."


def root_cause(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Give the outermost error of this package's own, which names the remedy; else the one at the root."""
    error = root = event.step_failure_data.error
    while error is not None:
        if error.message.startswith(_OURS):
            return error
        root, error = error, error.cause
    return root
