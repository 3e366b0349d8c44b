"""The rows of an event that plans the materialization of many partitions.

Belongs here: writing one row per partition without an event per partition. Does not belong here: storing rows
(`event_log`).

When a run over a range is created, Dagster's own event log makes Dagster construct, log and serialize one planned event
per partition and asset: 13,080 events for a backfill of 3,270 sessions. The UI needs their rows, to show which
partitions are in progress or have failed. Events of one asset differ in nothing but the partition, so this module
serializes one of them and replaces the partition in its text.
"""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import AssetMaterializationPlannedData

_ANY_PARTITION = "any partition: 4c1f7a52-8d0b-4a57-9d2f-3f4a1c7e6b90"
"""Appears in no other text of an event."""


def plans_partitions(event: dg.EventLogEntry) -> bool:
    """Return whether an event plans the materialization of several partitions."""
    return event.dagster_event is not None and event.dagster_event.partitions_subset is not None


def rows_of_event(
    event: dg.EventLogEntry, to_row: Callable[[dg.EventLogEntry], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows that Dagster's own event log has for an event: one, or one for each partition that it plans.

    Args:
        event: the event.
        to_row: Dagster's conversion of one event to its row.
    """
    planned = event.dagster_event
    if planned is None or planned.asset_key is None or planned.partitions_subset is None:
        return [to_row(event)]
    one = AssetMaterializationPlannedData(planned.asset_key, partition=_ANY_PARTITION)
    row = to_row(event._replace(dagster_event=planned._replace(event_specific_data=one)))
    before, after = row["event"].split(json.dumps(_ANY_PARTITION))
    keys = planned.partitions_subset.get_partition_keys()
    return [{**row, "event": f"{before}{json.dumps(key)}{after}", "partition": key} for key in keys]
