"""The error that explains a failed step.

Belongs here: choosing one error of a chain. Does not belong here: showing it (`sensors.alerts`, `runs`).
"""

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import SerializableErrorInfo

_PACKAGE_ERRORS = "stock_assets.core.errors."


def root_cause(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Return the outermost error of this package, which names the remedy; without one, the last error of the chain."""
    error = root = event.step_failure_data.error
    while error is not None:
        if error.message.startswith(_PACKAGE_ERRORS):
            return error
        root, error = error, error.cause
    return root
