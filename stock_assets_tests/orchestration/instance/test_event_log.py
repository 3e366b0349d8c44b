"""The event log returns the same results as Dagster's own, for several processes, and after a kill."""

import gc
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date
from itertools import groupby
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.instance.dagster_internals import (
    BATCH_WRITABLE_EVENTS,
    AssetMaterializationPlannedData,
    SqliteEventLogStorage,
)
from stock_assets.orchestration.instance.event_log import BATCH_SIZE, LocalEventLogStorage
from stock_assets.orchestration.partitions import range_tags, session_partitions
from stock_assets.orchestration.runs import local_instance, run_sessions
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.support import event_writers
from stock_assets_tests.support.dagster_internals import EventLogRecord, deserialize_value
from stock_assets_tests.support.event_writers import ASSET, BATCH, materialized

TABLES = {
    "event_logs": "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition",
    "asset_keys": "asset_key, last_materialization, last_run_id, last_materialization_timestamp",
    "asset_event_tags": "event_id, asset_key, key, value, event_timestamp",
    "asset_check_executions": (
        "asset_key, check_name, partition, run_id, execution_status, evaluation_event, evaluation_event_timestamp, "
        "evaluation_event_storage_id, materialization_event_storage_id"
    ),
}
Storage = SqliteEventLogStorage


def rows(file: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f"select {TABLES[table]} from {table} order by id").fetchall()


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dg.EventLogEntry]]:
    """Return every event of a run of the whole data path over four sessions."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"))
    result = run_sessions(
        settings, Pipeline.from_settings(settings), date(2012, 5, 14), date(2012, 5, 17), on_event=lambda _: None
    )
    storage = SqliteEventLogStorage(str(settings.instance_dir / "history" / "runs"))
    return result.run_id, list(storage.get_logs_for_run(result.run_id))


@pytest.fixture(scope="module")
def stock(
    real_run: tuple[str, list[dg.EventLogEntry]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Storage]:
    folder = tmp_path_factory.mktemp("stock")
    storage = SqliteEventLogStorage(str(folder))
    for event in real_run[1]:
        storage.store_event(event)
    return folder, storage


def singly(storage: Storage, events: Sequence[dg.EventLogEntry]) -> None:
    for event in events:
        storage.store_event(event)


def in_batches(storage: Storage, events: Sequence[dg.EventLogEntry]) -> None:
    """Store consecutive events that Dagster may batch in one batch; it has several assets and event types."""
    for batched, group in groupby(events, key=lambda event: event.dagster_event_type in BATCH_WRITABLE_EVENTS):
        together = list(group)
        storage.store_event_batch(together) if batched else singly(storage, together)


@pytest.mark.parametrize("write", [singly, in_batches])
def test_the_same_events_are_stored_as_the_same_rows(
    write: Callable[[Storage, Sequence[dg.EventLogEntry]], None],
    real_run: tuple[str, list[dg.EventLogEntry]],
    stock: tuple[Path, Storage],
    tmp_path: Path,
) -> None:
    run_id, events = real_run
    write(LocalEventLogStorage(str(tmp_path)), events)
    assert len(events) > 100
    for table in TABLES:
        assert rows(tmp_path / "index.db", table) == rows(stock[0] / "index.db", table), table
    assert rows(tmp_path / f"{run_id}.db", "event_logs") == rows(stock[0] / f"{run_id}.db", "event_logs")


def test_a_folder_of_dagsters_own_storage_is_read_with_the_same_results(
    real_run: tuple[str, list[dg.EventLogEntry]], stock: tuple[Path, Storage]
) -> None:
    """Compare both storages on one folder, with each query that the UI and the daemon send."""
    run_id, _ = real_run
    ours = LocalEventLogStorage(str(stock[0]))
    keys = [record.asset_entry.asset_key for record in ours.get_asset_records()]
    checks = [
        check
        for assets in build_definitions(Settings()).resolve_asset_graph().assets_defs
        for check in assets.check_keys
    ]
    queries: list[Callable[[Storage], object]] = [
        lambda log: log.get_asset_records(),
        lambda log: log.get_asset_records(keys),
        lambda log: [log.get_materialized_partitions(key) for key in keys],
        lambda log: [
            log.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION) for key in keys
        ],
        lambda log: [log.get_latest_asset_partition_materialization_attempts_without_materializations(k) for k in keys],
        lambda log: [log.get_latest_planned_materialization_info(key) for key in keys],
        lambda log: [log.fetch_materializations(key, limit=500).records for key in keys],
        lambda log: log.get_latest_materialization_events(keys),
        lambda log: log.get_latest_asset_check_execution_by_key(checks),
        lambda log: [log.get_asset_check_execution_history(check, limit=10) for check in checks],
        lambda log: log.get_stats_for_run(run_id),
        lambda log: log.get_step_stats_for_run(run_id),
        lambda log: log.get_records_for_run(run_id, limit=50),
        lambda log: log.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=10).records,
        lambda log: log.get_asset_partitions_for_run(run_id),
    ]
    for number, query in enumerate(queries):
        assert query(ours) == query(stock[1]), number
    assert len(keys) >= 6
    assert ours.get_stats_for_run(run_id).materializations >= 16


def planned(data: AssetMaterializationPlannedData) -> dg.EventLogEntry:
    """Return the event that plans the materialization of a partition, or of several."""
    event = dg.DagsterEvent.build_asset_materialization_planned_event("job", "step", data)
    return dg.EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's own
        None, "debug", "", "run", 1700000000.5, "step", "job", event
    )


@pytest.mark.parametrize("write", [singly, in_batches])
@pytest.mark.parametrize(
    ("partitions", "keys"),
    [
        (session_partitions(date(2012, 5, 10), date(2012, 6, 29)), ["2012-05-11", "2012-05-14", "2012-06-28"]),
        (dg.StaticPartitionsDefinition(["a", 'b", "c', "é"]), ["a", 'b", "c', "é"]),
    ],
)
def test_one_event_that_plans_many_partitions_is_stored_as_dagsters_event_for_each(
    write: Callable[[Storage, Sequence[dg.EventLogEntry]], None],
    partitions: dg.PartitionsDefinition[str],
    keys: list[str],
    tmp_path: Path,
) -> None:
    subset = partitions.subset_with_partition_keys(keys).to_serializable_subset()
    asset = dg.AssetKey(["staged", "prices"])
    expected = [planned(AssetMaterializationPlannedData(asset, key)) for key in subset.get_partition_keys()]
    together = planned(AssetMaterializationPlannedData(asset, partitions_subset=subset))
    assert len(expected) == len(keys)
    write(SqliteEventLogStorage(str(tmp_path / "stock")), [*expected, materialized("run", 1)])
    write(LocalEventLogStorage(str(tmp_path / "ours")), [together, materialized("run", 1)])
    for table in TABLES:
        assert rows(tmp_path / "ours" / "index.db", table) == rows(tmp_path / "stock" / "index.db", table), table
    of_run = [rows(tmp_path / name / "run.db", "event_logs") for name in ("ours", "stock")]
    assert of_run[0] == of_run[1]


def test_the_partitions_of_a_failed_run_over_a_range_are_shown_as_failed(tmp_path: Path) -> None:
    """Dagster documents that its own setting for one planned event per asset loses this."""
    sessions = session_partitions(date(2012, 5, 14), date(2012, 5, 17))

    @dg.asset(partitions_def=sessions, backfill_policy=dg.BackfillPolicy.single_run())
    def broken() -> None:
        raise ValueError("the step fails")

    job = dg.Definitions([broken], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    with local_instance(Settings(data_dir=tmp_path)) as instance:
        tags = range_tags(date(2012, 5, 15), date(2012, 5, 17))
        result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
        attempts = (
            instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
        )
        found = attempts(dg.AssetKey("broken"))
    assert {key: run_id for key, (run_id, _) in found.items()} == dict.fromkeys(
        ("2012-05-15", "2012-05-16", "2012-05-17"), result.run_id
    )


@pytest.mark.parametrize(("storage", "expected"), [("SqliteEventLogStorage", 4), ("LocalEventLogStorage", 1)])
def test_a_check_without_partitions_has_one_row_in_a_run_over_three(
    storage: str, expected: int, tmp_path: Path
) -> None:
    """If the first case fails, Dagster has fixed its own storage: then remove the override."""
    days = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-04")

    @dg.asset(partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def zebra() -> None: ...

    @dg.multi_asset_check(name="before_z", specs=[dg.AssetCheckSpec("striped", asset="zebra")])
    def before_z() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=True, check_name="striped", asset_key="zebra")

    module = SqliteEventLogStorage.__module__ if expected == 4 else LocalEventLogStorage.__module__
    folder = tmp_path / "history" / "runs"
    (tmp_path / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\n"
        f"event_log_storage: {{module: {module}, class: {storage}, config: {{base_dir: '{folder}'}}}}\n"
    )
    job = dg.Definitions([zebra], asset_checks=[before_z], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        tags = {"dagster/asset_partition_range_start": "2024-01-01", "dagster/asset_partition_range_end": "2024-01-03"}
        assert job.execute_in_process(instance=instance, tags=tags).success
        records = instance.event_log_storage.get_asset_check_execution_history(next(iter(before_z.check_keys)), limit=9)
    assert len(records) == expected
    assert records[0].status.value == "SUCCEEDED"


def test_no_check_of_this_project_has_partitions() -> None:
    graph = build_definitions(Settings()).resolve_asset_graph()
    assert len(graph.asset_check_keys) > 20
    assert all(graph.get(key).partitions_def is None for key in graph.asset_check_keys)


def writer(folder: Path, run_id: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", event_writers.__name__, str(folder), run_id, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """The folder is new: the processes also race to create it."""
    writers = [writer(tmp_path, f"run{number}", 400) for number in range(2)]
    assert [process.wait(timeout=120) for process in writers] == [0, 0]
    log = LocalEventLogStorage(str(tmp_path))
    assert len(log.get_materialized_partitions(ASSET)) == 800
    assert [len(log.get_logs_for_run(f"run{number}")) for number in range(2)] == [400] * 2
    with closing(sqlite3.connect(tmp_path / "index.db")) as index:
        stored = index.execute("select id, partition, event from event_logs order by id").fetchall()
        latest = index.execute("select last_materialization from asset_keys").fetchall()
    # The record of an asset names the row of its last event: ids that are read inside a transaction are correct.
    record = deserialize_value(latest[0][0], EventLogRecord)
    assert len(latest) == 1
    assert (record.storage_id, record.partition_key) == stored[-1][:2]


def test_committed_events_survive_a_kill(tmp_path: Path) -> None:
    process = writer(tmp_path, "run", 0)
    assert process.stdout is not None
    committed = 0
    while committed < 10 * BATCH:
        committed = int(process.stdout.readline())
    process.kill()
    committed = max([committed, *(int(line) for line in process.stdout.read().split())])
    process.wait()
    log = LocalEventLogStorage(str(tmp_path))
    in_run, in_index = len(log.get_logs_for_run("run")), len(log.get_materialized_partitions(ASSET))
    assert committed <= in_run <= in_index <= in_run + BATCH
    assert in_run % BATCH == in_index % BATCH == 0
    log.store_event_batch([materialized("run", -1), materialized("run", -2)])
    assert len(log.get_logs_for_run("run")) == in_run + 2
    for file in tmp_path.glob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_failed_index_leaves_nothing_in_the_runs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalEventLogStorage(str(tmp_path))

    def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(log, "_store_asset_keys", broken)
        with pytest.raises(RuntimeError):
            log.store_event_batch([materialized("run", 1), materialized("run", 2)])
    assert log.get_logs_for_run("run") == []
    assert log.get_materialized_partitions(ASSET) == set()


def test_a_deleted_log_is_created_again(tmp_path: Path) -> None:
    log = LocalEventLogStorage(str(tmp_path))
    log.store_event(materialized("run", 1))
    for file in tmp_path.glob("run.db*"):
        file.unlink()
    assert log.get_logs_for_run("run") == []
    log.store_event(materialized("run", 2))
    assert len(SqliteEventLogStorage(str(tmp_path)).get_logs_for_run("run")) == 1


def test_many_runs_do_not_keep_many_files_open(tmp_path: Path) -> None:
    log = LocalEventLogStorage(str(tmp_path))
    for number in range(20):
        assert log.get_logs_for_run(f"run{number}") == []
    # Alembic, which creates the tables, leaves reference cycles that hold a closed connection's descriptor for a while.
    gc.collect()
    open_files = {link.resolve().name for link in Path("/proc/self/fd").iterdir()}
    assert 0 < sum(name.startswith("run") and name.endswith(".db") for name in open_files) <= 17


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, LocalEventLogStorage]]:
    log = LocalEventLogStorage(str(tmp_path))
    yield tmp_path, log
    log.dispose()


def test_a_watcher_receives_the_events_of_another_process_at_once(watched: tuple[Path, LocalEventLogStorage]) -> None:
    folder, log = watched
    assert log.get_logs_for_run("run") == []
    seen: list[object] = []
    enough = threading.Event()

    def on_event(entry: dg.EventLogEntry, _: str) -> None:
        seen.append(entry)
        if len(seen) >= BATCH:
            enough.set()

    log.watch("run", None, on_event)
    process = writer(folder, "run", BATCH)
    process.communicate()
    assert enough.wait(10)


def batch_size(folder: Path) -> int:
    """Open the instance of a folder; return the number of events that it stores at once."""
    with local_instance(Settings(data_dir=folder)) as instance:
        return instance._get_event_batch_size()  # noqa: SLF001 (Dagster has no public name for it)


def test_an_instance_stores_events_in_batches_and_leaves_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    before = dict(os.environ)
    assert batch_size(tmp_path / "one") == BATCH_SIZE
    assert dict(os.environ) == before
    with dg.DagsterInstance.ephemeral() as other:
        assert other._get_event_batch_size() == 0  # noqa: SLF001 (same)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "7")
    assert batch_size(tmp_path / "two") == 7
