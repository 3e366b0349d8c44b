"""Maintenance with Trino's equivalents of OPTIMIZE and VACUUM, on tables with many small files of other writers."""

import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.backends.lakehouse import maintenance
from stock_assets.backends.trino.backend import TrinoBackend
from stock_assets.core.tables import DAILY_PRICES
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.small_files import scatter_on_aws
from stock_assets_tests.support.table_rows import FIRST, SECOND, THIRD, all_rows, publish, published
from stock_assets_tests.support.trino_backends import TrinoOnEmulator, trino_backend

pytestmark = pytest.mark.trino

APART = 4.0
"""Seconds between what is removed and what stays: Trino gets ages in whole seconds."""
STRAY = "published/daily_prices/data/left-by-a-killed-writer.parquet"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backend"


@pytest.fixture
def backend(trino: TrinoOnEmulator, root: Path, monkeypatch: pytest.MonkeyPatch) -> TrinoBackend:
    monkeypatch.setattr(maintenance, "SAFE_AGE", timedelta())
    return trino.backend(root)


def scatter(trino: TrinoOnEmulator, root: Path, *days: date) -> None:
    """Append one row per day, each in a separate file and snapshot."""
    backend = trino.backend(root)
    with backend.warehouse.connect() as sql:
        rows = sql.query(" UNION ALL ".join(price_row("OTHER", day) for day in days))
    make = partial(trino_backend, trino.url, trino.emulator.endpoint)
    scatter_on_aws(make, root, rows.cast(DAILY_PRICES.arrow_schema()))


def sent(backend: TrinoBackend) -> list[str]:
    """Return the first words of the statements since the last call."""
    return [run.statement for run in backend.engine.take_runs()[0]]


def test_small_files_and_delete_files_become_one_file(
    trino: TrinoOnEmulator, backend: TrinoBackend, root: Path
) -> None:
    publish(backend, [price_row("IBM", day) for day in (FIRST, SECOND)], FIRST, SECOND)
    publish(backend, [price_row("IBM", FIRST, 102.0), price_row("IBM", SECOND)], FIRST, SECOND)
    scatter(trino, root, THIRD)
    rows, long_ago = all_rows(backend), datetime.now(UTC) - timedelta(days=365)
    sent(backend)

    done = backend.warehouse.maintain(DAILY_PRICES, keep_since=long_ago, at=datetime.now(UTC))

    assert (done.files_after, done.snapshots_expired, done.files_removed) == (1, 0, 0)
    assert done.files_before > 2, "two data files and one delete file"
    assert sent(backend) == ["ALTER"]
    assert backend.warehouse.history(DAILY_PRICES)[0].is_maintenance
    assert all_rows(backend) == rows
    sent(backend)
    again = backend.warehouse.maintain(DAILY_PRICES, keep_since=long_ago, at=datetime.now(UTC))
    assert not again.changed
    assert sent(backend) == []


def test_old_snapshots_expire_and_snapshots_that_consumers_may_read_stay(
    trino: TrinoOnEmulator, backend: TrinoBackend, root: Path
) -> None:
    scatter(trino, root, FIRST, SECOND)
    backend.objects.put(STRAY, b"half a file")
    time.sleep(APART)
    seen = publish(backend, [price_row("IBM", THIRD)], THIRD, THIRD)
    rows = all_rows(backend)

    now = datetime.now(UTC)
    done = backend.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now)

    left = backend.warehouse.history(DAILY_PRICES)
    assert [snapshot.is_maintenance for snapshot in left] == [True, False]
    assert left[1].snapshot_id == seen
    assert done.snapshots_expired >= 2
    assert STRAY not in backend.objects.keys("published/daily_prices/")
    assert done.bytes_freed > 0
    assert all_rows(backend) == rows
    backend.warehouse.rollback(DAILY_PRICES, seen)
    assert len(published(backend)) == 3
    assert (
        "a rollback made an earlier snapshot current"
        in backend.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now).skipped_because
    )
