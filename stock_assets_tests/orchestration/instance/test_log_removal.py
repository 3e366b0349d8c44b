"""Removing old logs: the status of partitions and checks stays, the instance stops growing, a run page states it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.core.sql import bundled
from stock_assets.orchestration.instance.event_log import LocalEventLogStorage
from stock_assets.orchestration.instance.folder import INSTANCE_FILE
from stock_assets.orchestration.instance.log_removal import NOTICE, RemovableLogs
from stock_assets.orchestration.jobs import maintenance
from stock_assets.orchestration.jobs.maintenance import LOGS_REMOVED, delete_old_runs, remove_old_logs

DAYS = dg.StaticPartitionsDefinition(["mon", "tue", "wed", "thu", "fri"])
PRICES, BOARD = dg.AssetKey("prices"), dg.AssetKey("board")
CHECK = dg.AssetCheckKey(PRICES, "plausible")
FUTURE = datetime.now(UTC) + timedelta(days=1)
PAST = FUTURE - timedelta(days=2)


class Config(dg.Config):
    """How a run of the asset ends."""

    fails: bool = False
    plausible: bool = True


@dg.asset(key=PRICES, partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("plausible", asset=PRICES)])
def prices(context: dg.AssetExecutionContext, config: Config) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with checks, Dagster rejects a parameter
    context.log.info("a line of the log " * 100)
    if config.fails:
        raise RuntimeError("no prices")
    return dg.MaterializeResult(
        metadata={"rows": 7, "day": context.partition_key},
        check_results=[dg.AssetCheckResult(passed=config.plausible, metadata={"bad rows": 3})],
        tags={"quality": "good"},
    )


@dg.asset(key=BOARD, deps=[PRICES])
def board() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 1})


def run(instance: dg.DagsterInstance, day: str | None, **config: bool) -> str:
    """Run one of the assets; return the id of the run."""
    done = dg.materialize(
        [prices if day else board],
        instance=instance,
        partition_key=day,
        run_config={
            "ops": {"prices": {"config": config}} if day else {},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    )
    return done.run_id


@pytest.fixture
def local(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Return the local instance."""
    (tmp_path / INSTANCE_FILE).write_bytes(bundled("infra/local").joinpath(INSTANCE_FILE).read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(params=["local", pytest.param("production", marks=pytest.mark.slow)])
def instance(request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    """Return the local instance, and the production instance without its bucket of logs."""
    if request.param == "local":
        yield request.getfixturevalue("local")
        return
    folder: Path = request.getfixturevalue("production_folder")
    file = folder / INSTANCE_FILE
    text = file.read_text(encoding="utf-8")
    start = text.index("compute_logs:")
    file.write_text(text[:start] + text[start:].partition("\n\n")[2], encoding="utf-8")
    with dg.DagsterInstance.from_config(str(folder)) as production:
        yield production


def week(instance: dg.DagsterInstance) -> list[str]:
    """Run the assets as in a week with a repeated day and failures; return the ids of the runs."""
    return [
        run(instance, "mon"),
        run(instance, "mon", plausible=False),
        run(instance, "tue"),
        run(instance, "tue", fails=True),
        run(instance, "wed", fails=True),
        run(instance, "thu", fails=True),
        run(instance, "thu", plausible=False),
        run(instance, None),
        run(instance, None),
    ]


def status(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the status of each partition that was ever attempted."""
    found = instance.get_status_by_partition(PRICES, DAYS.get_partition_keys(), DAYS) or {}
    return {day: state.value for day, state in found.items() if state is not None}


def shown(instance: dg.DagsterInstance) -> dict[str, object]:
    """Return what the UI shows of assets, partitions and checks."""
    storage = instance.event_log_storage
    runs = instance.get_run_records()
    latest = {key: instance.get_latest_materialization_event(key) for key in (PRICES, BOARD)}
    newest = storage.get_latest_storage_id_by_partition(PRICES, dg.DagsterEventType.ASSET_MATERIALIZATION)
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=PRICES, storage_ids=list(newest.values())), limit=10
    ).records
    [check] = storage.get_latest_asset_check_execution_by_key([CHECK]).values()
    return {
        "status": status(instance),
        "materialized": instance.get_materialized_partitions(PRICES),
        "latest": latest,
        "by partition": sorted((str(record.partition_key), record.run_id, record.storage_id) for record in records),
        "metadata": [record.asset_materialization for record in records],
        "check": (check.id, check.status, check.evaluation),
        "tags": {
            tuple(sorted(tags.items()))
            for tags in storage.get_event_tags_for_asset(PRICES, filter_event_id=max(newest.values()))
        },
        "times": {record.dagster_run.run_id: (record.start_time, record.end_time) for record in runs},
    }


def messages(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the messages of log lines on the page of a run."""
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]


def test_the_status_of_assets_partitions_and_checks_stays(instance: dg.DagsterInstance) -> None:
    runs = week(instance)
    before = shown(instance)
    assert before["status"] == {"mon": "MATERIALIZED", "tue": "FAILED", "wed": "FAILED", "thu": "MATERIALIZED"}
    assert remove_old_logs(instance, before=PAST) == 0

    assert remove_old_logs(instance, before=FUTURE) == len(runs)

    assert shown(instance) == before
    for run_id in runs:
        assert messages(instance, run_id) == [NOTICE]
        stats = instance.get_run_stats(run_id)
        assert None not in (stats.start_time, stats.end_time)
    kinds = [event.dagster_event_type for run_id in runs for event in instance.all_logs(run_id) if event.dagster_event]
    assert kinds.count(dg.DagsterEventType.ASSET_MATERIALIZATION) == 4, "three partitions and an asset without any"
    assert dg.DagsterEventType.STEP_START not in kinds
    assert remove_old_logs(instance, before=FUTURE) == 0


def test_later_runs_change_the_state_as_before(instance: dg.DagsterInstance) -> None:
    week(instance)
    remove_old_logs(instance, before=FUTURE)
    run(instance, "wed", plausible=False)
    run(instance, "mon", fails=True)
    assert status(instance) == {"mon": "FAILED", "tue": "FAILED", "wed": "MATERIALIZED", "thu": "MATERIALIZED"}
    assert len(messages(instance, instance.get_runs(limit=1)[0].run_id)) >= 1


def test_logs_of_the_newest_runs_stay_and_failed_runs_keep_theirs_longer(
    local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "RUNS_WITH_LOGS", 2)
    failed, *succeeded = run(local, "mon", fails=True), *(run(local, day) for day in ("mon", "tue", "wed"))
    assert remove_old_logs(local, before=PAST) == 1
    removed = [found.run_id for found in local.get_runs() if LOGS_REMOVED in found.tags]
    assert removed == succeeded[:1]
    assert len(local.all_logs(failed)) > 5


def test_files_of_runs_are_removed_and_reading_creates_none(local: dg.DagsterInstance, tmp_path: Path) -> None:
    runs = [run(local, "mon"), run(local, "tue")]
    kept = run(local, "wed")
    logs = tmp_path / "history" / "runs"
    remove_old_logs(local, before=PAST)
    before = {file.name.partition(".")[0] for file in [*logs.iterdir(), *(tmp_path / "storage").iterdir()]}
    assert before == {"index", *runs, kept}

    storage = local.event_log_storage
    assert isinstance(storage, LocalEventLogStorage)
    storage.remove_logs(runs)
    assert [messages(local, run_id) for run_id in runs] == [[NOTICE], [NOTICE]]
    assert {file.name.partition(".")[0] for file in logs.iterdir()} == {"index", kept}
    with dg.DagsterInstance.from_config(str(tmp_path)) as other:
        assert messages(other, runs[0]) == [NOTICE]
    assert {file.name.partition(".")[0] for file in logs.iterdir()} == {"index", kept}


def test_a_killed_removal_is_repeated(local: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = run(local, "mon")
    with monkeypatch.context() as patched:
        patched.setattr(LocalEventLogStorage, "_remove_file", lambda *_: exit_process())
        with pytest.raises(SystemExit):
            remove_old_logs(local, before=FUTURE)
    assert len(local.all_logs(run_id)) > 5
    assert remove_old_logs(local, before=FUTURE) == 1
    assert messages(local, run_id) == [NOTICE]


def exit_process() -> None:
    raise SystemExit


def test_deleting_a_run_deletes_its_files(local: dg.DagsterInstance, tmp_path: Path) -> None:
    superseded, removed, newest = run(local, "mon"), run(local, "mon"), run(local, "mon")
    storage = local.event_log_storage
    assert isinstance(storage, RemovableLogs)
    storage.remove_logs([removed])
    assert delete_old_runs(local, [CHECK], before=FUTURE) == 2
    assert [found.run_id for found in local.get_runs()] == [newest]
    files = [*(tmp_path / "history" / "runs").iterdir(), *(tmp_path / "storage").iterdir()]
    assert {file.name.partition(".")[0] for file in files} == {"index", newest}
    assert superseded not in {file.name for file in files}


@pytest.mark.slow
def test_the_index_keeps_little_of_a_run(local: dg.DagsterInstance, tmp_path: Path) -> None:
    used = []
    for _ in range(2):
        for _ in range(10):
            run(local, "mon")
        used.append(used_bytes(tmp_path))
        remove_old_logs(local, before=FUTURE)
        used.append(used_bytes(tmp_path))
    full, first, _, second = used
    assert full - first > 10 * 4096
    assert second - first < 10 * 6000


def test_free_space_of_the_index_is_returned(local: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = run(local, "mon")
    with closing(sqlite3.connect(tmp_path / "history" / "runs" / "index.db")) as index:
        index.execute("CREATE TABLE large AS SELECT zeroblob(5000000) AS content")
        index.execute("DROP TABLE large")
        [before] = index.execute("PRAGMA page_count").fetchone()
        remove_old_logs(local, before=FUTURE)
        [after] = index.execute("PRAGMA page_count").fetchone()
    assert before > 1200
    assert after < 100
    assert messages(local, run_id) == [NOTICE]


def used_bytes(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "history" / "runs" / "index.db")) as index:
        pages, free = (index.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return int(4096 * (pages - free))


def test_other_event_logs_are_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = run(instance, "mon")
        assert remove_old_logs(instance, before=FUTURE) == 0
        assert len(instance.all_logs(run_id)) > 5
