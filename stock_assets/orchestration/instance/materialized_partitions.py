"""The rows of many materializations of one asset.

Belongs here: writing similar materializations without serializing each. Does not belong here: storing rows
(`event_log`), the rows of planned materializations (`planned_partitions`).

A run over a range has one materialization per partition and asset: 13,080 in a backfill of 3,270 sessions. Those of one
asset differ in their partition, timestamp and metadata, and share most values of their metadata. Dagster serializes
each as a whole, which takes a third of such a run. This module lets Dagster serialize one of them, and each value of
their metadata once, and joins the texts.
"""

import json
from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import Any

import dagster as dg

from stock_assets.orchestration.instance.dagster_internals import StepMaterializationData, serialize_value

Row = dict[str, Any]

_ANY_PARTITION = "any partition: 0b8d5c1e-6f43-4f0e-8a77-2d1c9be35a64"
_ANY_TIMESTAMP = 1234567890.0625
"""Placeholders."""
_NO_ENTRIES = '"metadata_entries": []'
_ANY_MATERIALIZATION = dg.AssetMaterialization("any")


def rows_of_events(
    events: Sequence[dg.EventLogEntry],
    to_rows: Callable[[dg.EventLogEntry], list[Row]],
    to_timestamp: Callable[[dg.EventLogEntry], object],
) -> list[list[Row]]:
    """Return the rows of each event, as Dagster's own event log writes them.

    Args:
        events: events of one run.
        to_rows: the conversion of any event to its rows.
        to_timestamp: Dagster's conversion of the time of an event to a value of the column.
    """
    groups = [(frame, list(group)) for frame, group in groupby(events, key=_frame)]
    return list(
        chain.from_iterable(
            [to_rows(event) for event in group]
            if frame is None or len(group) == 1
            else [[row] for row in _rows_of_similar(group, to_rows, to_timestamp)]
            for frame, group in groups
        )
    )


def _frame(event: dg.EventLogEntry) -> tuple[object, ...] | None:
    """Return everything that similar materializations of partitions have in common; None for any other event."""
    data = _data(event)
    if data is None or data.materialization.partition is None:
        return None
    return (
        event._replace(timestamp=0.0, dagster_event=None),
        event.get_dagster_event()._replace(event_specific_data=None),
        data._replace(materialization=data.materialization._replace(partition=None, metadata={})),
    )


def _data(event: dg.EventLogEntry) -> StepMaterializationData | None:
    found = event.dagster_event and event.dagster_event.event_specific_data
    return found if isinstance(found, StepMaterializationData) else None


def _rows_of_similar(
    events: Sequence[dg.EventLogEntry],
    to_rows: Callable[[dg.EventLogEntry], list[Row]],
    to_timestamp: Callable[[dg.EventLogEntry], object],
) -> list[Row]:
    [any_row] = to_rows(_with_placeholders(events[0]))
    try:
        to_entries, rest = any_row["event"].split(_NO_ENTRIES)
        to_partition, rest = rest.split(json.dumps(_ANY_PARTITION))
        to_time, to_end = rest.split(json.dumps(_ANY_TIMESTAMP))
    except ValueError:
        # A tag contains a placeholder, or a later Dagster writes another text.
        return [row for event in events for row in to_rows(event)]
    texts: dict[tuple[str, int], str] = {}
    rows = []
    for event in events:
        materialization = event.get_dagster_event().step_materialization_data.materialization
        entries = []
        for label, value in materialization.metadata.items():
            # By identity: values of different types may be equal. The events keep the values, so that no id is reused.
            text = texts.get((label, id(value)))
            if text is None:
                text = texts[label, id(value)] = _entry(label, value)
            entries.append(text)
        partition = json.dumps(materialization.partition)
        text = (
            f'{to_entries}"metadata_entries": [{", ".join(entries)}]{to_partition}{partition}'
            f"{to_time}{json.dumps(event.timestamp)}{to_end}"
        )
        rows.append(
            {**any_row, "event": text, "timestamp": to_timestamp(event), "partition": materialization.partition}
        )
    return rows


def _with_placeholders(event: dg.EventLogEntry) -> dg.EventLogEntry:
    reported = event.get_dagster_event()
    data = reported.step_materialization_data
    anything = data.materialization._replace(partition=_ANY_PARTITION, metadata={})
    return event._replace(
        timestamp=_ANY_TIMESTAMP,
        dagster_event=reported._replace(event_specific_data=data._replace(materialization=anything)),
    )


def _entry(label: str, value: dg.MetadataValue[Any]) -> str:
    """Return the text of one entry of the metadata, cut from the text of a materialization."""
    before, after = serialize_value(_ANY_MATERIALIZATION).split("[]")
    text = serialize_value(_ANY_MATERIALIZATION._replace(metadata={label: value}))
    return text.removeprefix(f"{before}[").removesuffix(f"]{after}")
