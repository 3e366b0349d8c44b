"""The queue of runs, and how often the daemon checks for new backfills.

Belongs here: options of `dagster.yaml` that Dagster's own queue does not have. Does not belong here: starting runs
(`launcher`).

A backfill of the UI waits until the daemon checks for backfills: every 30 seconds in Dagster 1.13, which no setting
changes. The daemon constructs this class before its threads start, so the option of the interval is here, beside the
interval of the queue.
"""

from collections.abc import Mapping
from typing import Any, Self, cast

import dagster as dg
from dagster import QueuedRunCoordinator

from stock_assets.orchestration.instance.dagster_internals import (
    ConfigurableClassData,
    UserConfigSchema,
    set_backfill_interval,
)

OPTION = "backfill_interval_seconds"


class PromptRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue of runs, with `backfill_interval_seconds`: the longest time between two checks for backfills."""

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return Dagster's options and the interval."""
        description = (
            "The longest time between two checks of the daemon for backfills; without it, Dagster's 30 seconds."
        )
        own = cast("Mapping[str, Any]", super().config_type())
        return {**own, OPTION: dg.Field(dg.IntSource, is_required=False, description=description)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Construct the queue from `dagster.yaml`; in the process of the daemon, also set the interval."""
        if OPTION in config_value:
            set_backfill_interval(config_value[OPTION])
        return super().from_config_value(inst_data, config_value)
