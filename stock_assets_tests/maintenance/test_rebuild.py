"""A rebuild gives the same rows, whatever the order and the times in which files were restored."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.publish_lock import publishing
from stock_assets.ingest.landing_conversion import LandingScope
from stock_assets.ingest.landing_files import register_files
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.maintenance.repair import Repair
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage
from stock_assets_tests.faults.folder import LOADED, Folder, load_sample

DAY = LOADED[1][-1]
SCOPE = LandingScope(date(2000, 3, 1), date(2013, 3, 1))


def register(folder: Folder) -> None:
    """Register the landing files that are there now."""
    register_files(folder.parts, SCOPE, [SCOPE.first, SCOPE.last], at=datetime.now(UTC) + timedelta(minutes=2))


def load(folder: Folder) -> float:
    """Load the day from the stored responses; return the close of IBM."""
    stage(folder.parts, LOADED[1])
    publish(folder.parts, LOADED[1])
    [close] = [row["close_price"] for row in folder.rows() if row["symbol"] == "IBM" and row["trade_date"] == DAY]
    return float(str(close))


@pytest.fixture
def corrected(tmp_path: Path) -> Folder:
    """A folder with a landing file for IBM, and a later one that corrects it."""
    folder = Folder(tmp_path / "data")
    load_sample(folder.root)
    for name, close in (("first", "200.5"), ("correction", "201.5")):
        file = folder.root / f"raw/daily_prices/{name}.csv"
        file.write_text(f"timestamp,symbol,open,high,low,close,volume\n{DAY},IBM,200,203,199,{close},1000\n")
        register(folder)
    assert load(folder) == pytest.approx(201.5)
    return folder


@pytest.mark.slow
def test_landing_files_restored_in_another_order_keep_their_times(corrected: Folder, tmp_path: Path) -> None:
    rows = corrected.rows()
    restored = Folder(tmp_path / "restored")
    shutil.copytree(corrected.root / "raw", restored.root / "raw", ignore=shutil.ignore_patterns("first.csv"))
    # The file that was corrected is the newest one on this disk now.
    shutil.copy(corrected.root / "raw/daily_prices/first.csv", restored.root / "raw/daily_prices")

    fetch_splits(restored.parts)
    register(restored)
    for sessions in LOADED:
        stage(restored.parts, sessions)
        publish(restored.parts, sessions)

    assert load(restored) == pytest.approx(201.5)
    assert [row for row in restored.rows() if row["trade_date"] == DAY] == [
        row for row in rows if row["trade_date"] == DAY
    ]


def test_a_rebuilt_ledger_knows_landing_files_by_their_first_time(corrected: Folder) -> None:
    rows = corrected.rows()
    (corrected.root / "ledger.db").unlink()
    shutil.rmtree(corrected.root / "published")
    first = corrected.root / "raw/daily_prices/first.csv"
    body = first.read_bytes()
    first.unlink()
    first.write_bytes(body)

    assert Repair(corrected.parts, LocalBackend(corrected.root), lambda _: None).apply()
    register(corrected)

    assert load(corrected) == pytest.approx(201.5)
    assert corrected.rows() == rows


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two loads."""
    root = tmp_path_factory.mktemp("loaded") / "data"
    load_sample(root)
    return root


@pytest.mark.parametrize("lost", ["catalog.db", "published/daily_prices/data/*/*.parquet"])
def test_a_repair_changes_tables_when_no_other_process_publishes(
    lost: str, loaded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Folder.copy_of(loaded, tmp_path / "data")
    rows = folder.rows()
    for file in folder.root.glob(lost):
        file.unlink()
    tables = {key: body for key, body in folder.contents().items() if key.startswith(("published/", "catalog.db"))}

    repair = Repair(folder.parts, LocalBackend(folder.root), lambda _: None)
    with ThreadPoolExecutor(1) as executor:
        with publishing(folder.root):
            done = executor.submit(repair.apply)
            while "this publish waits until it ends" not in caplog.text:
                assert not done.done()
                time.sleep(0.01)
            waiting = folder.contents()
            assert {
                key: body for key, body in waiting.items() if key.startswith(("published/", "catalog.db"))
            } == tables
        assert done.result()
    assert folder.rows() == rows
