"""Rows of similar materializations equal those of Dagster's own event log, and cost one serialization."""

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from stock_assets.orchestration.instance import materialized_partitions
from stock_assets.orchestration.instance.dagster_internals import (
    AssetMaterializationPlannedData,
    SqliteEventLogStorage,
    StepMaterializationData,
)
from stock_assets.orchestration.instance.event_log import BATCH_SIZE, LocalEventLogStorage
from stock_assets.orchestration.runs import run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings

RUN = "run"
PRICES, QUARANTINE = dg.AssetKey(["staged", "daily_prices"]), dg.AssetKey(["published", "quarantined_prices"])
SESSIONS = ["2012-05-14", "2012-05-15", "2012-05-16"]
LOAD: dict[str, dg.MetadataValue[Any]] = {
    "load": dg.MetadataValue.text('load "1" of é\n\\'),
    "preview": dg.MetadataValue.md("| a |\n| --- |\n| 😀 |"),
    "uri": dg.MetadataValue.path("/prices"),
    "metadata_entries": dg.MetadataValue.text('"metadata_entries": []'),
    "columns": dg.MetadataValue.table_schema(dg.TableSchema([dg.TableColumn("close_price", "double")])),
    "facts": dg.MetadataValue.json({"b": [1, None, 2.5], "a": "any"}),
    "none": dg.MetadataValue.null(),
}
"""Metadata that all sessions share."""
PLACEHOLDER = materialized_partitions._ANY_TIMESTAMP  # noqa: SLF001 (a tag that contains it)
TAGS = {"dagster/code_version": RUN, "dagster/data_version": "ab12"}
ODD_VALUES = [1, True, 1.0, 0.0, -0.0, 0, False, "1", dg.MetadataValue.path("1"), dg.MetadataValue.md("1")]


def event(
    content: StepMaterializationData | AssetMaterializationPlannedData, at: float = 1.7e9, step: str = "step"
) -> dg.EventLogEntry:
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    if isinstance(content, AssetMaterializationPlannedData):
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    made = dg.DagsterEvent(kind.value, "job", event_specific_data=content, pid=1, step_key=step)
    return dg.EventLogEntry(None, 10, "", RUN, at, step, "job", made)  # type: ignore[no-untyped-call]  # Dagster's own


def content(
    partition: str | None, key: dg.AssetKey = PRICES, *, description: str | None = None, **more: object
) -> StepMaterializationData:
    """Return a materialization; `more` are metadata, or tags if they begin with `tag_`."""
    tags = {name: str(value) for name, value in more.items() if name.startswith("tag_")}
    metadata: dict[str, Any] = {name: value for name, value in more.items() if name not in tags}
    return StepMaterializationData(
        dg.AssetMaterialization(key, description, LOAD | metadata, partition, TAGS | tags),
    )


def planned(partition: str) -> dg.EventLogEntry:
    return event(AssetMaterializationPlannedData(PRICES, partition))


BATCHES = {
    "one asset": [event(content(session), 1.7e9 + n / 7) for n, session in enumerate(SESSIONS)],
    "counts of each session": [event(content(s, symbols=n, share=n / 3)) for n, s in enumerate(SESSIONS)],
    "equal values of different types": [event(content(str(n), value=odd)) for n, odd in enumerate(ODD_VALUES)],
    "more of the last session": [
        *(event(content(s)) for s in SESSIONS[:2]),
        event(content(SESSIONS[2], last="yes", load="another")),
    ],
    "no metadata": [event(StepMaterializationData(dg.AssetMaterialization(PRICES, partition=s))) for s in SESSIONS],
    "one value with several labels": [event(content("a", one=LOAD["load"])), event(content("b", two=LOAD["load"]))],
    "two assets in turn": [event(content(s, key)) for s in SESSIONS for key in (PRICES, QUARANTINE)],
    "two assets one after the other": [event(content(s, key)) for key in (PRICES, QUARANTINE) for s in SESSIONS],
    "tags": [event(content(s, tag_n=n // 2)) for n, s in enumerate(SESSIONS)],
    "tags that contain a placeholder": [event(content(s, tag_n=PLACEHOLDER)) for s in SESSIONS],
    "descriptions": [event(content(s, description=f"of {n // 2}")) for n, s in enumerate(SESSIONS)],
    "steps": [event(content(s), step=f"step {n // 2}") for n, s in enumerate(SESSIONS)],
    "odd partitions": [event(content(name)) for name in ('a"b', "é", "a|b", "null", "\\")],
    "two dimensions": [event(content(dg.MultiPartitionKey({"day": s, "symbol": "IBM"}))) for s in SESSIONS],
    "some without partition": [event(content(partition)) for partition in (None, None, *SESSIONS)],
    "odd times": [event(content(s), at) for s, at in zip(SESSIONS, (1.7e9, 1700000000.1234567, 5e-324), strict=True)],
    "other events between": [planned("a"), *(event(content(s)) for s in SESSIONS), planned("b"), planned("c")],
}


def stored(folder: Path, file: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / f"{file}.db")) as connection:
        return connection.execute("select * from event_logs order by id").fetchall()


@pytest.mark.parametrize("events", BATCHES.values(), ids=BATCHES)
def test_rows_are_equal_to_dagsters(events: list[dg.EventLogEntry], tmp_path: Path) -> None:
    dagsters = SqliteEventLogStorage(str(tmp_path / "dagsters"))
    for each in events:
        dagsters.store_event(each)
    LocalEventLogStorage(str(tmp_path / "ours")).store_event_batch(events)
    assert len(stored(tmp_path / "ours", RUN)) == len(events)
    for file in (RUN, "index"):
        assert stored(tmp_path / "ours", file) == stored(tmp_path / "dagsters", file)


def count_entries(monkeypatch: pytest.MonkeyPatch, serialized: list[object]) -> None:
    """Append each entry of metadata that is serialized."""
    entry = materialized_partitions._entry  # noqa: SLF001 (what costs time)

    def count(label: str, value: dg.MetadataValue[Any]) -> str:
        serialized.append(label)
        return entry(label, value)

    monkeypatch.setattr(materialized_partitions, "_entry", count)


def test_a_batch_of_sessions_costs_one_serialization_and_one_for_each_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count them: a slow batch would have the same rows."""
    serialized: list[object] = []
    storage = LocalEventLogStorage(str(tmp_path))
    to_row = storage._event_to_row  # noqa: SLF001 (what costs time)

    def count_row(entry: dg.EventLogEntry) -> dict[str, Any]:
        serialized.append(entry)
        return to_row(entry)

    monkeypatch.setattr(storage, "_event_to_row", count_row)
    count_entries(monkeypatch, serialized)
    symbols = dg.MetadataValue.int(5)
    storage.store_event_batch([event(content(str(number), symbols=symbols)) for number in range(BATCH_SIZE)])
    assert len(serialized) == 1 + len([*LOAD, "symbols"])
    assert len(storage.get_logs_for_run(RUN)) == BATCH_SIZE


def test_more_sessions_of_a_run_do_not_cost_more_serializations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of metadata that sessions have in common must be one object."""
    values: list[object] = []
    count_entries(monkeypatch, values)
    counts = []
    for last in (date(2012, 6, 6), date(2012, 6, 15)):
        values.clear()
        settings = Settings(data_dir=tmp_path / last.isoformat())
        pipeline = Pipeline.from_settings(settings)
        assert run_sessions(settings, pipeline, date(2012, 6, 4), last, on_event=lambda _: None).success
        counts.append(len(values))
    assert counts[0] == counts[1] > 0
