"""The pipeline runs with Dagster's own event log, and switching between both storages keeps every event."""

from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.tables import DAILY_PRICES
from stock_assets.orchestration.instance.dagster_internals import SqliteEventLogStorage
from stock_assets.orchestration.instance.event_log import LocalEventLogStorage
from stock_assets.orchestration.keys import RAW_PRICES, asset_key
from stock_assets.orchestration.runs import local_instance, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import EventLog, Settings

STORAGES = {EventLog.OPTIMIZED: LocalEventLogStorage, EventLog.BUILTIN: SqliteEventLogStorage}
WEEKS = {
    EventLog.BUILTIN: (date(2012, 5, 14), date(2012, 5, 18)),
    EventLog.OPTIMIZED: (date(2012, 5, 21), date(2012, 5, 25)),
}


def run(folder: Path, event_log: EventLog) -> None:
    """Run the whole data path for a week, with one of the storages."""
    settings = Settings(data_dir=folder, event_log=event_log)
    first, last = WEEKS[event_log]
    result = run_sessions(settings, Pipeline.from_settings(settings), first, last, on_event=lambda _: None)
    assert result.success, result.failures
    assert result.changed_tables == (DAILY_PRICES.full_name,)


@pytest.mark.parametrize("order", [list(WEEKS), list(reversed(WEEKS))], ids=["builtin first", "optimized first"])
def test_runs_of_both_storages_are_read_by_both(tmp_path: Path, order: list[EventLog]) -> None:
    for event_log in order:
        run(tmp_path, event_log)
    seen = []
    for event_log, storage in STORAGES.items():
        with local_instance(Settings(data_dir=tmp_path, event_log=event_log)) as instance:
            assert type(instance.event_log_storage) is storage
            runs = instance.get_runs()
            assert [found.status for found in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
            seen.append(
                (
                    {key: instance.get_materialized_partitions(key) for key in (RAW_PRICES, asset_key(DAILY_PRICES))},
                    {found.run_id: len(instance.all_logs(found.run_id)) for found in runs},
                    instance.get_latest_materialization_event(asset_key(DAILY_PRICES)),
                )
            )
    assert seen[0] == seen[1]
    partitions, events, _ = seen[0]
    assert {len(days) for days in partitions.values()} == {10}
    assert min(events.values()) > 100
