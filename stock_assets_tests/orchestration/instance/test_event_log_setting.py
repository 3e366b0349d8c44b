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
RUNS = (
    (EventLog.BUILTIN, date(2012, 5, 14), date(2012, 5, 15)),
    (EventLog.OPTIMIZED, date(2012, 5, 16), date(2012, 5, 17)),
    (EventLog.BUILTIN, date(2012, 5, 18), date(2012, 5, 18)),
)
"""Both switches: from Dagster's storage to the optimized one, and back."""


def run(folder: Path, event_log: EventLog, first: date, last: date) -> None:
    """Run the whole data path for some sessions, with one of the storages."""
    settings = Settings(data_dir=folder, event_log=event_log)
    result = run_sessions(settings, Pipeline.from_settings(settings), first, last, on_event=lambda _: None)
    assert result.success, result.failures
    assert result.changed_tables == (DAILY_PRICES.full_name,)


@pytest.mark.slow
def test_runs_of_both_storages_are_read_by_both(tmp_path: Path) -> None:
    for event_log, first, last in RUNS:
        run(tmp_path, event_log, first, last)
    seen = []
    for event_log, storage in STORAGES.items():
        with local_instance(Settings(data_dir=tmp_path, event_log=event_log)) as instance:
            assert type(instance.event_log_storage) is storage
            runs = instance.get_runs()
            assert [found.status for found in runs] == [dg.DagsterRunStatus.SUCCESS] * len(RUNS)
            seen.append(
                (
                    {key: instance.get_materialized_partitions(key) for key in (RAW_PRICES, asset_key(DAILY_PRICES))},
                    {found.run_id: len(instance.all_logs(found.run_id)) for found in runs},
                    instance.get_latest_materialization_event(asset_key(DAILY_PRICES)),
                )
            )
    assert seen[0] == seen[1]
    partitions, events, _ = seen[0]
    assert {len(days) for days in partitions.values()} == {5}
    assert min(events.values()) > 100
