"""Maintenance on Athena: the statements sent, what VACUUM may remove, and failures.

`contracts` tests what every backend must keep and remove.
"""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stock_assets.backends.athena import ddl
from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.athena.engine import AthenaEngine
from stock_assets.backends.interface import MaintenanceResult
from stock_assets.backends.lakehouse import maintenance
from stock_assets.backends.lakehouse.objects import S3Objects
from stock_assets.cli.app import app
from stock_assets.core.errors import ConcurrentPublish, QueryFailed
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES
from stock_assets.maintenance.maintenance import maintain as maintain_all
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.orchestration.jobs.maintenance import JOB_NAME
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.faults import QueryFault
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.support.athena_backends import BUCKET, athena_backend
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.dagster_runs import pipeline
from stock_assets_tests.support.ledger_statements import recorded_statements
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, Scene, calm_source
from stock_assets_tests.support.small_files import iceberg_on_aws, late_for, mark_deleted, scatter_on_aws
from stock_assets_tests.support.steps import published_rows, read
from stock_assets_tests.support.table_rows import publish, published

DAYS = [date(2012, 3, day) for day in (1, 2, 5, 6)] + [date(2013, 1, 2), date(2013, 1, 3)]
MONTH = timedelta(days=30)
LONG_AGO = datetime(2012, 1, 1, tzinfo=UTC)
COMMIT_CONFLICT = "ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table: daily_prices"
COMPACTION = ["ALTER", "OPTIMIZE"]
EXPIRY = ["ALTER", "VACUUM"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backend"


@pytest.fixture
def backend(root: Path, aws: AwsEmulator) -> AthenaBackend:
    return athena_backend(aws.endpoint, root)


def listed_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each listed folder of the bucket is added from now on."""
    listed: list[str] = []
    original = S3Objects._found  # noqa: SLF001 (each listing passes here)

    def found(self: S3Objects, prefix: str, *, after: str = "") -> Iterator[dict[str, Any]]:
        listed.append(prefix)
        return original(self, prefix, after=after)

    monkeypatch.setattr(S3Objects, "_found", found)
    return listed


@pytest.fixture
def scatter(root: Path, backend: AthenaBackend, aws: AwsEmulator) -> Callable[..., None]:
    """Return a function that appends rows of some days, each in a separate file."""

    def scatter(*days: date, symbol: str = "OTHER", close: float = 2.5) -> None:
        rows = read(backend, " UNION ALL ".join(price_row(symbol, day, close) for day in days))
        scatter_on_aws(partial(athena_backend, aws.endpoint), root, rows.cast(DAILY_PRICES.arrow_schema()))

    return scatter


@pytest.fixture
def late(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set Athena's clock a month ahead, and the extra day of retention to zero."""
    aws.set_clock(MONTH)
    monkeypatch.setattr(maintenance, "SAFE_AGE", timedelta())


def maintain(backend: AthenaBackend, keep_since: datetime = LONG_AGO, *, later: timedelta = MONTH) -> MaintenanceResult:
    return backend.warehouse.maintain(DAILY_PRICES, keep_since=keep_since, at=late_for(keep_since, later))


def put(backend: AthenaBackend, day: date, close: float = 1.5) -> int:
    return publish(backend, [price_row("IBM", day, close)], day, day)


def sent(aws: AwsEmulator) -> list[str]:
    """Return the first words of the statements sent to change a table, and clear the record."""
    words = [text.split(maxsplit=1)[0] for text in aws.statements]
    aws.queries.clear()
    return [word for word in words if word in {"ALTER", "OPTIMIZE", "VACUUM"}]


def rows(backend: AthenaBackend) -> list[dict[str, object]]:
    return sorted(exact(published_rows(backend)), key=repr)


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_statements_are_sent_only_if_there_is_work(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None]
) -> None:
    put(backend, DAYS[0])
    sent(aws)
    since = datetime.now(UTC)
    maintain(backend, since)
    assert aws.statements == [], "one snapshot, one file"

    scatter(DAYS[0])
    sent(aws)
    maintain(backend)
    assert sent(aws) == COMPACTION

    maintain(backend)
    assert aws.statements == []

    maintain(backend, datetime.now(UTC))
    assert sent(aws) == EXPIRY

    maintain(backend, datetime.now(UTC))
    assert aws.statements == []


@pytest.mark.slow
def test_maintenance_creates_no_tables(aws: AwsEmulator, backend: AthenaBackend) -> None:
    for table in PUBLISHED_TABLES:
        assert backend.warehouse.maintain(table, keep_since=LONG_AGO, at=datetime.now(UTC)) == MaintenanceResult()
    assert aws.statements == []


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_compaction_removes_deleted_rows(aws: AwsEmulator, backend: AthenaBackend) -> None:
    """Athena's MERGE writes delete files for rows that it changes or removes; each read applies them."""
    publish(backend, [price_row(symbol, DAYS[0]) for symbol in ("IBM", "MSFT")], DAYS[0], DAYS[0])
    mark_deleted(iceberg_on_aws(backend), "MSFT")
    assert published(backend) == [("IBM", DAYS[0], 101.0)]
    assert backend.warehouse.history(DAILY_PRICES)[0].rows == 1
    sent(aws)

    done = maintain(backend)

    assert sent(aws) == COMPACTION
    assert (done.files_before, done.files_after, done.changed) == (2, 1, True)
    assert published(backend) == [("IBM", DAYS[0], 101.0)]
    newest = backend.warehouse.history(DAILY_PRICES)[0]
    assert (newest.rows, newest.is_maintenance) == (1, True)
    assert not maintain(backend).changed
    assert sent(aws) == []


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_statements_are_repeated_until_athena_needs_no_more_runs(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None]
) -> None:
    for day in DAYS:
        put(backend, day)
    scatter(*DAYS)
    before = rows(backend)
    aws.engine.most_partitions, aws.engine.most_files = 1, 10
    sent(aws)

    since = datetime.now(UTC)
    done = maintain(backend, since)

    words = sent(aws)
    assert words[:3] == ["ALTER", "OPTIMIZE", "OPTIMIZE"]
    assert words[3:5] == EXPIRY
    assert words.count("VACUUM") > 2
    assert done.files_removed > 20
    assert (done.files_before, done.files_after) == (8, 2)
    assert rows(backend) == before
    assert not maintain(backend, since).changed


@pytest.mark.slow
def test_a_statement_that_always_needs_more_runs_fails(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(backend, DAYS[0])
    scatter(DAYS[0])
    monkeypatch.setattr(maintenance, "_MOST_RUNS", 3)
    aws.query_faults.append(QueryFault("^OPTIMIZE", "ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED: Processed 100", times=100))
    sent(aws)

    with pytest.raises(QueryFailed, match="MORE_RUNS_NEEDED"):
        maintain(backend)

    assert sent(aws).count("OPTIMIZE") == 3


@pytest.mark.slow
@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("statement", ["OPTIMIZE", "VACUUM"])
def test_commit_conflicts_are_retried(
    aws: AwsEmulator,
    backend: AthenaBackend,
    scatter: Callable[..., None],
    statement: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maintenance, "_LONGEST_PAUSE_SECONDS", 0.01)
    put(backend, DAYS[0])
    scatter(DAYS[0])
    aws.query_faults.append(QueryFault(f"^{statement}", COMMIT_CONFLICT, times=100))
    with pytest.raises(ConcurrentPublish, match="could not be maintained"):
        maintain(backend, datetime.now(UTC))

    aws.query_faults[:] = [QueryFault(f"^{statement}", COMMIT_CONFLICT, times=2)]
    done = maintain(backend, datetime.now(UTC))

    assert done.snapshots_expired > 0
    assert len(rows(backend)) == 2
    assert done.files_after == 1


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_a_rollback_during_a_retry_stops_maintenance(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None]
) -> None:
    put(backend, DAYS[0])
    scatter(DAYS[0], DAYS[1])
    newest, crowded, _ = backend.warehouse.history(DAILY_PRICES)
    aws.query_faults.append(
        QueryFault(
            "^OPTIMIZE", COMMIT_CONFLICT, first=lambda: backend.warehouse.rollback(DAILY_PRICES, crowded.snapshot_id)
        )
    )
    sent(aws)

    maintain(backend, datetime.now(UTC))

    assert sent(aws) == COMPACTION
    assert len(published(backend)) == 2
    assert [snapshot.snapshot_id for snapshot in backend.warehouse.history(DAILY_PRICES)][:2] == [
        newest.snapshot_id,
        crowded.snapshot_id,
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_files_that_could_not_be_deleted_are_not_counted(
    aws: AwsEmulator, backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission to delete, VACUUM reports success nevertheless."""
    for close in (1.5, 2.5):
        put(backend, DAYS[0], close)
    monkeypatch.setattr(aws.engine.__class__, "remove", lambda *_: None)

    done = maintain(backend, datetime.now(UTC))

    assert (done.snapshots_expired, done.files_removed, done.bytes_freed) == (1, 0, 0)


@pytest.mark.slow
def test_an_orphan_file_is_removed_at_the_age_of_expired_snapshots(aws: AwsEmulator, backend: AthenaBackend) -> None:
    put(backend, DAYS[0])
    backend.objects.put("published/daily_prices/data/lost.parquet", b"half a file")
    backend.objects.put("published/daily_prices/data/README.txt", b"not written by Iceberg")
    sent(aws)
    now = datetime.now(UTC)
    aws.set_clock(MONTH)

    maintain(backend, now + timedelta(hours=23))
    assert aws.statements == [], "a running publish may still commit it"
    done = maintain(backend, now + timedelta(hours=25))

    assert sent(aws) == EXPIRY
    assert "published/daily_prices/data/lost.parquet" not in backend.objects.keys("published/daily_prices/")
    assert done.files_removed >= 1
    assert published(backend) == [("IBM", DAYS[0], 1.5)]


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_a_compaction_without_recorded_properties_is_recognised(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None]
) -> None:
    """After a kill, or after a user has sent OPTIMIZE."""
    put(backend, DAYS[0])
    for _ in range(4):
        scatter(DAYS[0])
    aws.engine.run(f"OPTIMIZE {backend.database}_published.daily_prices REWRITE DATA USING BIN_PACK")
    sent(aws)

    assert backend.warehouse.history(DAILY_PRICES)[0].is_maintenance
    assert not maintain(backend).changed
    assert aws.statements == []


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_a_compacted_snapshot_is_not_compacted_again(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(backend, DAYS[0])
    scatter(DAYS[0])
    monkeypatch.setattr(maintenance, "is_crowded", lambda _: True)
    sent(aws)
    maintain(backend)
    assert sent(aws) == COMPACTION

    maintain(backend)
    assert sent(aws) == []

    put(backend, DAYS[1])
    maintain(backend)
    assert sent(aws) == COMPACTION


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_a_publish_commits_on_top_of_a_concurrent_compaction(
    backend: AthenaBackend, scatter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Athena commits a MERGE after an OPTIMIZE that began later, if it changes none of the compacted files."""
    put(backend, DAYS[0])
    scatter(DAYS[0])
    run = AthenaEngine.run

    def run_after_compaction(self: AthenaEngine, text: str) -> object:
        if text.startswith("MERGE") and base(backend) in text:
            old = base(backend)
            maintain(backend)
            text = text.replace(old, base(backend))
        return run(self, text)

    monkeypatch.setattr(AthenaEngine, "run", run_after_compaction)
    newest = put(backend, DAYS[1], 7.5)

    history = backend.warehouse.history(DAILY_PRICES)
    assert [snapshot.is_maintenance for snapshot in history] == [False, True, False, False]
    assert (history[0].snapshot_id, history[0].properties["load_id"]) == (newest, "load_1")
    assert ("IBM", DAYS[1], 7.5) in published(backend)


def base(backend: AthenaBackend) -> str:
    current = iceberg_on_aws(backend).current_snapshot()
    assert current is not None
    return str(current.snapshot_id)


@pytest.mark.slow
def test_vacuum_keeps_what_consumers_may_read_and_one_more_day(backend: AthenaBackend) -> None:
    snapshots = [put(backend, DAYS[0], close) for close in (1.5, 2.5, 3.5, 4.5)]
    now = datetime.now(UTC)

    def retention(keep_since: datetime) -> maintenance.VacuumRetention:
        return maintenance.vacuum_retention(iceberg_on_aws(backend), keep_since=keep_since, at=now)

    assert (retention(now - MONTH).seconds, retention(now - MONTH).snapshots) == (31 * 86_400, 4)
    assert retention(now).seconds == 2 * 86_400, "one day for consumers that read, one day for queued statements"
    later = maintenance.vacuum_retention(iceberg_on_aws(backend), keep_since=now + timedelta(days=2), at=now + MONTH)
    assert (later.seconds, later.snapshots) == (29 * 86_400, 1)
    assert later.expiring == set(snapshots[:3])


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_a_snapshot_that_was_rolled_back_stays_by_its_age(aws: AwsEmulator, backend: AthenaBackend) -> None:
    first, second, abandoned = (put(backend, DAYS[0], close) for close in (1.5, 2.5, 3.5))
    committed_at = backend.warehouse.history(DAILY_PRICES)[0].committed_at
    backend.warehouse.rollback(DAILY_PRICES, second)
    time.sleep(0.01)
    since = datetime.now(UTC)
    backend.warehouse.rollback(DAILY_PRICES, abandoned)
    backend.warehouse.rollback(DAILY_PRICES, second)
    newest = put(backend, DAYS[0], 4.5)

    keep = maintenance.vacuum_retention(iceberg_on_aws(backend), keep_since=since, at=since + MONTH)
    assert (keep.before, keep.snapshots, set(keep.expiring)) == (committed_at, 2, {first})

    aws.engine.clock = lambda: since + MONTH
    backend.warehouse.maintain(DAILY_PRICES, keep_since=since, at=since + MONTH)
    assert {snapshot.snapshot_id for snapshot in backend.warehouse.history(DAILY_PRICES)} == {second, abandoned, newest}


@pytest.mark.slow
@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("seed", range(3))
def test_after_a_random_history_every_kept_snapshot_is_complete(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None], seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 (repeatable)
    content: dict[int, list[dict[str, object]]] = {}
    put(backend, DAYS[0])
    for _ in range(12):
        step = dice.choice(["publish", "publish", "scatter", "rollback", "maintain"])
        if step == "publish":
            put(backend, dice.choice(DAYS), round(dice.uniform(1, 9), 3))
        elif step == "scatter":
            scatter(dice.choice(DAYS), close=round(dice.uniform(1, 9), 3))
        elif step == "rollback":
            backend.warehouse.rollback(DAILY_PRICES, dice.choice(backend.warehouse.history(DAILY_PRICES)).snapshot_id)
        else:
            maintain_and_read_all(aws, backend, dice, content)
        content[int(base(backend))] = rows(backend)
    maintain_and_read_all(aws, backend, dice, content)


def maintain_and_read_all(
    aws: AwsEmulator, backend: AthenaBackend, dice: random.Random, content: dict[int, list[dict[str, object]]]
) -> None:
    """Maintain while a connection is open, and read every snapshot that must remain."""
    before = backend.warehouse.history(DAILY_PRICES)
    since = dice.choice(before).committed_at
    visible = rows(backend)
    at = datetime.now(UTC) + MONTH
    # A fixed clock: without the extra day, the time that statements take would expire a snapshot at the limit.
    aws.engine.clock = lambda: at
    with backend.warehouse.connect() as pinned_connection:
        backend.warehouse.maintain(DAILY_PRICES, keep_since=since, at=at)
        pinned = pinned_connection.query(f"SELECT * FROM {DAILY_PRICES.full_name}").to_pylist()
    assert sorted(exact(pinned), key=repr) == visible == rows(backend)
    after = backend.warehouse.history(DAILY_PRICES)
    assert {snapshot.snapshot_id for snapshot in before if snapshot.committed_at >= since} <= {
        snapshot.snapshot_id for snapshot in after
    }
    current = int(base(backend))
    for snapshot in after:
        backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
        assert rows(backend) == content.get(snapshot.snapshot_id, visible)
    backend.warehouse.rollback(DAILY_PRICES, current)


@pytest.mark.slow
@pytest.mark.usefixtures("late")
def test_the_load_after_a_compaction_does_not_read_all_rows(
    aws: AwsEmulator, backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would if it ignored that the compacted snapshot has the split factors of the snapshot before."""
    scene = Scene(backend, calm_source())
    scene.run(FIRST_WEEK)
    for module in (maintenance, ddl):
        monkeypatch.setattr(module, "FEWEST_DATA_FILES", 1)
    maintain(backend)
    assert backend.warehouse.history(DAILY_PRICES)[0].is_maintenance
    aws.queries.clear()

    scene.run(SECOND_WEEK)

    assert [text for text in aws.statements if "first_stale" in text] == []
    assert any(text.startswith("MERGE") for text in aws.statements)


def test_maintenance_reads_neither_the_responses_nor_their_requests(
    backend: AthenaBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not packed here, so each maintenance would read more of them than the one before."""
    Scene(backend, calm_source()).run(FIRST_WEEK)
    retention = RetentionPolicy(staging=MONTH, snapshots=MONTH, runs=MONTH)
    requests, listed = recorded_statements(monkeypatch), listed_folders(monkeypatch)

    maintain_all(backend, retention, datetime.now(UTC) + 2 * MONTH)

    assert requests == []
    assert "staged/loads/" in listed
    assert [folder for folder in listed if folder.startswith("raw/")] == []


@pytest.mark.slow
def test_the_weekly_job_reports_its_results_and_costs(
    aws: AwsEmulator, backend: AthenaBackend, scatter: Callable[..., None], tmp_path: Path
) -> None:
    scene = Scene(backend, calm_source())
    scene.run(FIRST_WEEK)
    scatter(*FIRST_WEEK)
    wired = pipeline(scene, tmp_path)
    sent(aws)

    result = wired.definitions.resolve_job_def(JOB_NAME).execute_in_process(instance=wired.instance)

    [output] = [event.step_output_data for event in result.all_events if event.is_successful_output]
    assert f"| {DAILY_PRICES.full_name} | 6 to 1 |" in str(output.metadata["published tables"].value)
    assert "OPTIMIZE" in str(output.metadata["athena statements"].value)
    assert sent(aws) == COMPACTION


@pytest.mark.slow
def test_the_maintain_command_does_what_the_job_does(
    aws: AwsEmulator, backend: AthenaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"BUCKET": BUCKET, "REGION": REGION, "ENDPOINT_URL": aws.endpoint, "DATABASE": backend.database}
    for name, value in {"PREFIX": backend.prefix, **settings}.items():
        monkeypatch.setenv(f"STOCK_ASSETS_AWS_{name}", value)
    monkeypatch.setenv("STOCK_ASSETS_BACKEND", "aws")
    monkeypatch.setenv("STOCK_ASSETS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    typed = Pipeline.from_settings(Settings.from_env()).backend
    assert isinstance(typed, AthenaBackend)
    put(typed, DAYS[0])
    table = iceberg_on_aws(typed)
    table.append(table.scan().to_arrow())
    sent(aws)

    maintained = CliRunner().invoke(app, ["maintain"])

    assert maintained.exit_code == 0, f"{maintained.output}{maintained.exception!r}"
    assert sent(aws) == COMPACTION
    assert "2 to 1" in maintained.stdout
    assert "maintenance: compaction" in CliRunner().invoke(app, ["history"]).stdout
