"""Maintenance by what Trino has in place of OPTIMIZE and VACUUM, on tables that others have scattered."""

import time
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from stock_assets.homes.aws import upkeep
from stock_assets.homes.trino import TrinoHome
from stock_assets.tables import DAILY_PRICES
from stock_assets_tests.contracts.test_homes import (
    FIRST,
    SECOND,
    THIRD,
    all_rows,
    publish,
    published,
)
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.scattered import scatter_on_aws
from stock_assets_tests.support.trino_homes import TrinoOnDouble, trino_home

pytestmark = pytest.mark.trino

APART = 4.0
"""Seconds between what goes and what stays: ages are told to Trino in whole seconds."""
STRAY = "published/daily_prices/data/left-by-a-killed-writer.parquet"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def home(trino: TrinoOnDouble, root: Path, monkeypatch: pytest.MonkeyPatch) -> TrinoHome:
    monkeypatch.setattr(upkeep, "SAFE_AGE", timedelta())
    return trino.home(root)


def scatter(trino: TrinoOnDouble, root: Path, *days: date) -> None:
    """Add a row of each day, in a file and a version of its own."""
    home = trino.home(root)
    with home.warehouse.open() as sql:
        rows = sql.query(" UNION ALL ".join(price_row("OTHER", day) for day in days))
    make = partial(trino_home, trino.url, trino.double.endpoint)
    scatter_on_aws(make, root, rows.cast(DAILY_PRICES.arrow_schema()))


def sent(home: TrinoHome) -> list[str]:
    """Give the first words of the statements since this was last asked."""
    return [run.statement for run in home.engine.take_runs()[0]]


def test_small_files_and_marks_of_deleted_rows_become_one_file(
    trino: TrinoOnDouble, home: TrinoHome, root: Path
) -> None:
    publish(home, [price_row("IBM", day) for day in (FIRST, SECOND)], FIRST, SECOND)
    publish(home, [price_row("IBM", FIRST, 102.0), price_row("IBM", SECOND)], FIRST, SECOND)
    scatter(trino, root, THIRD)
    rows, long_ago = all_rows(home), datetime.now(UTC) - timedelta(days=365)
    sent(home)

    done = home.warehouse.maintain(DAILY_PRICES, keep_since=long_ago, at=datetime.now(UTC))

    assert (done.files_after, done.versions_expired, done.files_removed) == (1, 0, 0)
    assert done.files_before > 2, "two files of rows, and one of marks"
    assert sent(home) == ["ALTER"]
    assert home.warehouse.history(DAILY_PRICES)[0].is_maintenance
    assert all_rows(home) == rows
    sent(home)
    again = home.warehouse.maintain(DAILY_PRICES, keep_since=long_ago, at=datetime.now(UTC))
    assert not again.changed
    assert sent(home) == []


def test_old_versions_go_and_those_that_readers_may_be_at_stay(
    trino: TrinoOnDouble, home: TrinoHome, root: Path
) -> None:
    scatter(trino, root, FIRST, SECOND)
    home.objects.put(STRAY, b"half a file")
    time.sleep(APART)
    seen = publish(home, [price_row("IBM", THIRD)], THIRD, THIRD)
    rows = all_rows(home)

    now = datetime.now(UTC)
    done = home.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now)

    left = home.warehouse.history(DAILY_PRICES)
    assert [version.is_maintenance for version in left] == [True, False]
    assert left[1].snapshot_id == seen
    assert done.versions_expired >= 2
    assert STRAY not in home.objects.list("published/daily_prices/")
    assert done.bytes_freed > 0
    assert all_rows(home) == rows
    home.warehouse.rollback(DAILY_PRICES, seen)
    assert len(published(home)) == 3
    assert "rollback" in home.warehouse.maintain(DAILY_PRICES, keep_since=now, at=now).left_alone
