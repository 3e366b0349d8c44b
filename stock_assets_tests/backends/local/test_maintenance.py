"""Maintenance of local Iceberg tables, checked by their files: what is removed, what stays, and when."""

import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.expressions import BoundPredicate
from pyiceberg.expressions.visitors import BoundBooleanExpressionVisitor
from pyiceberg.table import Table as IcebergTable
from pyiceberg.types import StringType

from stock_assets.backends.interface import Backend, MaintenanceResult
from stock_assets.backends.local import iceberg, maintenance
from stock_assets.backends.snapshots import seen_since
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.processes import begun
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.small_files import maintain_for_ever, scatter_locally
from stock_assets_tests.support.steps import local_backend, published_rows, read

DAYS = [date(2012, 3, day) for day in (1, 2, 5, 6)] + [date(2013, 1, 2), date(2013, 1, 3)]
MONTH = timedelta(days=30)
LONG_AGO = datetime(2012, 1, 1, tzinfo=UTC)


def publish(backend: Backend, day: date, close: float, symbol: str = "IBM") -> int:
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row(symbol, day, close)])
        return sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=day, last=day, properties={"load_id": "load_1"})


def scatter(backend: Backend, root: Path, day: date, close: float) -> None:
    rows = read(backend, price_row("OTHER", day, close)).cast(DAILY_PRICES.arrow_schema())
    scatter_locally(root, rows)


def maintain(backend: Backend, *, keep_since: datetime, later: timedelta = MONTH) -> MaintenanceResult:
    return backend.warehouse.maintain(DAILY_PRICES, keep_since=keep_since, at=datetime.now(UTC) + later)


def rows(backend: Backend) -> list[dict[str, object]]:
    """Read all rows, sorted by all values: rows of another writer may have equal keys."""
    return sorted(exact(published_rows(backend)), key=repr)


def files(backend: Backend) -> set[Path]:
    return {path for path in Path(backend.warehouse.location(DAILY_PRICES)).rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the fixture `backend`."""
    return tmp_path / "backend"


def test_the_number_of_manifests_does_not_grow_with_the_number_of_publishes(backend: Backend, root: Path) -> None:
    counts = []
    for close in range(6):
        publish(backend, DAYS[0], close + 0.5)
        stored = iceberg.load(root, DAILY_PRICES)
        current = stored.current_snapshot()
        assert current is not None
        counts.append(len(current.manifests(stored.io)))

    assert counts == [1, 2, 2, 2, 2, 2]


def test_no_two_threads_of_a_commit_share_an_evaluator_of_manifests(
    backend: Backend, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluator holds the manifest that it evaluates: a shared one overlooks files that the commit replaces."""
    for day in (DAYS[0], DAYS[-1]):
        publish(backend, day, 1.5)
        scatter(backend, root, day, 2.5)
    threads: dict[object, set[int]] = defaultdict(set)
    evaluate = BoundBooleanExpressionVisitor.visit_bound_predicate

    def slowly(visitor: BoundBooleanExpressionVisitor[bool], predicate: BoundPredicate) -> bool:
        if hasattr(visitor, "partition_fields"):
            threads[visitor].add(threading.get_ident())
            time.sleep(0.01)
        return evaluate(visitor, predicate)

    monkeypatch.setattr(BoundBooleanExpressionVisitor, "visit_bound_predicate", slowly)

    publish(backend, DAYS[0], 3.5)

    assert len(set().union(*threads.values())) > 1, "the commit evaluates in several threads"
    assert {len(of_one) for of_one in threads.values()} == {1}


def metadata_files(root: Path) -> set[Path]:
    return set((root / "published" / "daily_prices" / "metadata").glob("*.metadata.json"))


def test_the_number_of_metadata_files_is_limited_and_every_snapshot_stays(backend: Backend, root: Path) -> None:
    snapshots = [publish(backend, date(2012, 1, 1) + timedelta(days=day), 100.0 + day) for day in range(25)]
    assert len(metadata_files(root)) == 21
    assert [snapshot.snapshot_id for snapshot in backend.warehouse.history(DAILY_PRICES)] == snapshots[::-1]
    backend.warehouse.rollback(DAILY_PRICES, snapshots[0])
    assert len(rows(backend)) == 1
    assert len(metadata_files(root)) == 21


def test_a_table_of_an_earlier_release_gains_the_limit_with_its_next_publish(backend: Backend, root: Path) -> None:
    publish(backend, date(2012, 1, 2), 100.0)
    stored = iceberg.load(root, DAILY_PRICES)
    with stored.transaction() as transaction:
        transaction.remove_properties("write.metadata.delete-after-commit.enabled")
        transaction.set_properties({"write.metadata.previous-versions-max": "100"})
    for day in range(3, 30):
        publish(backend, date(2012, 1, day), 100.0 + day)
    assert len(metadata_files(root)) == 21
    assert len(rows(backend)) == 28


def test_a_table_with_a_column_of_another_program_is_not_compacted(backend: Backend, root: Path) -> None:
    publish(backend, DAYS[0], 1.5)
    table = iceberg.load(root, DAILY_PRICES)
    with table.update_schema() as update:
        update.add_column("note", StringType())
    for note in ("first", "second"):
        row = read(backend, price_row("OTHER", DAYS[1], 2.5)).append_column("note", pa.array([note], pa.string()))
        iceberg.load(root, DAILY_PRICES).append(row.cast(table.schema().as_arrow()))

    assert maintain(backend, keep_since=datetime.now(UTC)).files_after == 3
    notes = iceberg.load(root, DAILY_PRICES).scan().to_arrow()["note"].to_pylist()
    assert sorted(notes, key=str) == [None, "first", "second"]


def test_the_snapshot_that_was_current_at_keep_since_stays_however_old(backend: Backend) -> None:
    publish(backend, DAYS[0], 1.5)
    seen = publish(backend, DAYS[0], 2.5)
    keep_since = datetime.now(UTC)
    current = publish(backend, DAYS[0], 3.5)

    assert maintain(backend, keep_since=keep_since).snapshots_expired == 1
    assert [snapshot.snapshot_id for snapshot in backend.warehouse.history(DAILY_PRICES)] == [current, seen]


def test_a_snapshot_that_was_rolled_back_to_since_stays(backend: Backend) -> None:
    first = publish(backend, DAYS[0], 1.5)
    second = publish(backend, DAYS[0], 2.5)
    keep_since = datetime.now(UTC)
    backend.warehouse.rollback(DAILY_PRICES, first)
    backend.warehouse.rollback(DAILY_PRICES, second)
    time.sleep(0.002)
    publish(backend, DAYS[0], 3.5)

    assert maintain(backend, keep_since=keep_since).snapshots_expired == 0


def test_a_rollback_just_before_the_commit_of_maintenance_finds_its_snapshot(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(backend, DAYS[0], 1.5)
    publish(backend, DAYS[0], 2.5)
    looked: list[int] = []

    def read_and_roll_back(stored: IcebergTable, since: datetime) -> set[int]:
        # Between reading the snapshots and committing.
        found = seen_since(stored, since)
        if not looked:
            backend.warehouse.rollback(DAILY_PRICES, first)
        looked.append(len(found))
        return found

    monkeypatch.setattr(maintenance, "seen_since", read_and_roll_back)

    assert maintain(backend, keep_since=datetime.now(UTC)).snapshots_expired == 0
    assert looked == [1]
    assert len(backend.warehouse.history(DAILY_PRICES)) == 2
    assert [row["close_price"] for row in published_rows(backend)] == [1.5]


def test_two_concurrent_maintenances_expire_snapshots_once(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for close in (1.5, 2.5, 3.5):
        publish(backend, DAYS[0], close)
    now, others = datetime.now(UTC), list[MaintenanceResult]()

    def read_after_another_maintenance(stored: IcebergTable, since: datetime) -> set[int]:
        found = seen_since(stored, since)
        if not others:
            monkeypatch.undo()
            others.append(maintain(backend, keep_since=now))
        return found

    monkeypatch.setattr(maintenance, "seen_since", read_after_another_maintenance)

    done = maintain(backend, keep_since=now)

    assert [other.snapshots_expired for other in others] == [2]
    assert done.snapshots_expired == 0
    assert [row["close_price"] for row in published_rows(backend)] == [3.5]


@pytest.mark.parametrize(
    "name", ["data/trade_year=2012/lost.parquet", "metadata/lost-m0.avro", "metadata/9.metadata.json"]
)
def test_a_file_of_a_killed_publish_is_removed_after_a_day_and_not_before(backend: Backend, name: str) -> None:
    publish(backend, DAYS[0], 1.5)
    orphan = Path(backend.warehouse.location(DAILY_PRICES)) / name
    orphan.write_bytes(b"half of it")

    young = maintain(backend, keep_since=LONG_AGO, later=timedelta(hours=23))
    assert (young.files_removed, orphan.exists()) == (0, True)
    old = maintain(backend, keep_since=LONG_AGO, later=timedelta(hours=25))
    assert (old.files_removed, old.bytes_freed, orphan.exists()) == (1, 10, False)


def test_a_file_that_pyiceberg_did_not_write_stays(backend: Backend) -> None:
    publish(backend, DAYS[0], 1.5)
    note = Path(backend.warehouse.location(DAILY_PRICES)) / "data" / "README.txt"
    note.write_text("kept by hand", encoding="utf-8")

    assert not maintain(backend, keep_since=LONG_AGO).changed
    assert note.exists()


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_after_any_history_every_kept_snapshot_is_complete(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 (repeatable)
    root = tmp_path / "backend"
    backend = local_backend(root)
    content: dict[int, list[dict[str, object]]] = {}

    def note() -> None:
        current = next(snapshot for snapshot in backend.warehouse.history(DAILY_PRICES) if snapshot.is_current)
        content[current.snapshot_id] = rows(backend)

    publish(backend, DAYS[0], 1.5)
    note()
    for _ in range(14):
        step = dice.choice(["publish", "publish", "scatter", "rollback", "maintain"])
        if step == "publish":
            publish(backend, dice.choice(DAYS), round(dice.uniform(1, 9), 3))
        elif step == "scatter":
            scatter(backend, root, dice.choice(DAYS), round(dice.uniform(1, 9), 3))
        elif step == "rollback":
            backend.warehouse.rollback(DAILY_PRICES, dice.choice(backend.warehouse.history(DAILY_PRICES)).snapshot_id)
        else:
            _maintain_and_check(backend, dice, content)
        note()


def _maintain_and_check(backend: Backend, dice: random.Random, content: dict[int, list[dict[str, object]]]) -> None:
    """Maintain while an earlier connection is open, then read every snapshot that must have been kept."""
    before = backend.warehouse.history(DAILY_PRICES)
    keep_since = dice.choice(before).committed_at
    visible = rows(backend)
    with backend.warehouse.connect() as reader:
        maintain(backend, keep_since=keep_since)
        pinned = reader.query(f"SELECT * FROM {DAILY_PRICES.full_name}").to_pylist()
    assert sorted(exact(pinned), key=repr) == visible == rows(backend)
    after = backend.warehouse.history(DAILY_PRICES)
    assert {snapshot.snapshot_id for snapshot in before if snapshot.committed_at >= keep_since} <= {
        snapshot.snapshot_id for snapshot in after
    }
    current = next(snapshot.snapshot_id for snapshot in after if snapshot.is_current)
    for snapshot in after:
        backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
        assert rows(backend) == content.get(snapshot.snapshot_id, visible)
    backend.warehouse.rollback(DAILY_PRICES, current)


def kill_while_maintaining(root: Path, kills: int, again: Callable[[], None]) -> None:
    """Repeatedly kill a process that maintains, and check every snapshot after each kill."""
    backend = local_backend(root)
    for number in range(kills):
        again()
        expected = rows(backend)
        process, _ = begun(maintain_for_ever, root)
        time.sleep(random.random() * 0.3)  # noqa: S311 (any delay will do)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, number
        assert rows(backend) == expected
        for snapshot in backend.warehouse.history(DAILY_PRICES)[:3]:
            backend.warehouse.rollback(DAILY_PRICES, snapshot.snapshot_id)
            rows(backend)
        backend.warehouse.rollback(DAILY_PRICES, backend.warehouse.history(DAILY_PRICES)[0].snapshot_id)
        assert rows(backend) == expected
    maintain(backend, keep_since=datetime.now(UTC))
    maintain(backend, keep_since=datetime.now(UTC))
    assert not maintain(backend, keep_since=datetime.now(UTC)).changed


@pytest.mark.slow
def test_a_kill_at_any_time_leaves_every_snapshot_complete_and_the_next_maintenance_does_the_rest(
    backend: Backend, root: Path
) -> None:
    dice = random.Random(7)  # noqa: S311 (repeatable)

    def again() -> None:
        publish(backend, dice.choice(DAYS), round(dice.uniform(1, 9), 3))
        for day in DAYS:
            scatter(backend, root, day, 2.5)

    kill_while_maintaining(root, 25, again)
