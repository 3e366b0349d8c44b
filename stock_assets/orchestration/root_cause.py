"""The error that explains a failed step.

Belongs here: choosing one error of a chain. Does not belong here: showing it (`sensors.alerts`, `runs`).
"""

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import DagsterAssetCheckFailedError, SerializableErrorInfo

_PACKAGE_ERRORS = "stock_assets.core.errors."


def root_cause(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Return the outermost error of this package, which names the remedy; without one, the last error of the chain."""
    error = root = event.step_failure_data.error
    while error is not None:
        if error.message.startswith(_PACKAGE_ERRORS):
            return error
        root, error = error, error.cause
    return root


def root_message(event: dg.DagsterEvent) -> str:
    """Return the message of the root cause of a failed step, without the class of an error of this package."""
    error = root_cause(event)
    if error is None:
        return f"{event.step_key} failed"
    name, _, text = error.message.strip().partition(": ")
    return text if name.startswith(_PACKAGE_ERRORS) else error.message.strip()


def is_failed_check(event: dg.DagsterEvent) -> bool:
    """Return whether a step failed only because a blocking check did; the check itself says why."""
    error = root_cause(event)
    return error is not None and error.cls_name == DagsterAssetCheckFailedError.__name__
