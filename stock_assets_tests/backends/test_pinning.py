"""Which snapshot a table had at a timestamp, on real Iceberg metadata of the local backend."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.interface import AsOf, Backend
from stock_assets.core.errors import SnapshotExpired, UnknownSnapshot
from stock_assets.core.tables import DAILY_PRICES
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.table_rows import FIRST, SECOND, publish

MONTH = timedelta(days=30)
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """An empty local backend."""
    return local_backend(tmp_path / "backend")


@pytest.fixture
def closes(backend: Backend) -> Callable[[AsOf | None], list[float]]:
    """A function that returns the close of every row as of a timestamp or snapshot."""

    def read(as_of: AsOf | None) -> list[float]:
        with backend.warehouse.connect_to_read(as_of) as sql:
            rows = sql.query(f"SELECT close_price FROM {DAILY_PRICES.full_name} ORDER BY trade_date")
        return [float(value) for value in rows["close_price"].to_pylist()]

    return read


def load(backend: Backend, close: float) -> tuple[int, datetime]:
    """Publish one row; return its snapshot and when it was committed."""
    snapshot = publish(backend, [price_row("IBM", FIRST, close)], FIRST, FIRST)
    newest = next(one for one in backend.warehouse.history(DAILY_PRICES) if one.snapshot_id == snapshot)
    return snapshot, newest.committed_at


def test_a_timestamp_reads_the_snapshot_that_was_current_then(
    backend: Backend, closes: Callable[[AsOf | None], list[float]]
) -> None:
    _, first = load(backend, 1.5)
    _, second = load(backend, 2.5)
    assert closes(first - MILLISECOND) == []
    assert closes(first) == [1.5]
    assert closes(second - MILLISECOND) == [1.5]
    assert closes(second) == closes(second + MONTH) == closes(None) == [2.5]


def test_a_snapshot_id_reads_this_snapshot_and_other_tables_as_they_are(
    backend: Backend, closes: Callable[[AsOf | None], list[float]]
) -> None:
    first, _ = load(backend, 1.5)
    load(backend, 2.5)
    assert closes({DAILY_PRICES.full_name: first}) == [1.5]
    assert closes({}) == [2.5]
    with pytest.raises(UnknownSnapshot, match=r"published\.daily_prices has no snapshot 42; it has: \d+, \d+") as found:
        closes({DAILY_PRICES.full_name: 42})
    assert not isinstance(found.value, SnapshotExpired)


def test_a_rollback_counts_from_the_time_of_the_rollback(
    backend: Backend, closes: Callable[[AsOf | None], list[float]]
) -> None:
    first, _ = load(backend, 1.5)
    _, second = load(backend, 2.5)
    before = datetime.now(UTC)
    backend.warehouse.rollback(DAILY_PRICES, first)
    assert closes(second) == closes(before - MILLISECOND) == [2.5]
    assert closes(datetime.now(UTC)) == [1.5]


def test_an_expired_snapshot_is_a_typed_error_and_later_timestamps_still_work(
    backend: Backend, closes: Callable[[AsOf | None], list[float]]
) -> None:
    expired, first = load(backend, 1.5)
    _, second = load(backend, 2.5)
    keep = datetime.now(UTC)
    backend.warehouse.maintain(DAILY_PRICES, keep_since=keep, at=keep + MONTH)
    for timestamp in (first - MONTH, first, second - MILLISECOND):
        with pytest.raises(SnapshotExpired, match="maintenance has expired the snapshot of that time"):
            closes(timestamp)
    with pytest.raises(SnapshotExpired, match=rf"has no snapshot {expired} \(snapshots have expired"):
        closes({DAILY_PRICES.full_name: expired})
    assert closes(second) == [2.5]


def test_a_snapshot_that_expired_between_two_others_is_not_replaced_by_the_earlier_one(
    backend: Backend, closes: Callable[[AsOf | None], list[float]]
) -> None:
    """After a rollback, the snapshot that was rolled back expires before the one that is still current."""
    first, _ = load(backend, 1.5)
    _, wrong = load(backend, 2.5)
    backend.warehouse.rollback(DAILY_PRICES, first)
    keep = datetime.now(UTC)
    publish(backend, [price_row("IBM", SECOND, 3.5)], SECOND, SECOND)
    backend.warehouse.maintain(DAILY_PRICES, keep_since=keep, at=keep + MONTH)
    assert len(backend.warehouse.history(DAILY_PRICES)) == 2, "the first snapshot was current since `keep`"
    with pytest.raises(SnapshotExpired):
        closes(wrong)
    assert closes(None) == [1.5, 3.5]
