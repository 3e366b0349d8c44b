"""Concurrent publishers with real Iceberg commits: no row is lost or duplicated, conflicts are retried."""

from functools import partial
from pathlib import Path

import pytest

from stock_assets.core.errors import ConcurrentPublish
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets_tests.emulators.athena.faults import CallFault
from stock_assets_tests.support.backend_cases import BackendCase, in_processes
from stock_assets_tests.support.backend_writers import PUBLISHERS, SAME_DAYS, publish_range, publish_the_same_days
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.rows import price_row, stage_rows
from stock_assets_tests.support.scenes import Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.small_files import scatter_on_aws
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.table_rows import FIRST, NEXT_YEAR, PROPERTIES, SECOND, publish, published
from stock_assets_tests.support.trino_backends import TrinoOnEmulator, trino_backend

pytestmark = pytest.mark.trino


@pytest.fixture
def case(trino: TrinoOnEmulator) -> BackendCase:
    make = partial(trino_backend, trino.url, trino.emulator.endpoint)
    return BackendCase("trino", make, "", partial(scatter_on_aws, make))


def test_processes_that_replace_the_same_days_lose_no_row_of_each_other(case: BackendCase, tmp_path: Path) -> None:
    attempts = in_processes(case, tmp_path / "backend", publish_the_same_days, count=3)

    backend = case.make(tmp_path / "backend")
    assert published(backend) == sorted((f"P{number}", day, 101.0) for number in range(3) for day in SAME_DAYS)
    assert sum(map(int, attempts)) > 3 * len(SAME_DAYS), "at least one commit was retried"


def test_concurrent_loads_of_overlapping_and_separate_ranges_publish_all_rows(
    case: BackendCase, tmp_path: Path
) -> None:
    """The first and the third range are separate; the second overlaps with both."""
    scene = Scene(case.make(tmp_path / "backend"), wavy_source())
    scene.deliver_again()

    in_processes(case, tmp_path / "backend", publish_range, count=len(PUBLISHERS))

    days = sorted({day for sessions in PUBLISHERS for day in sessions})
    expected, _ = rebuilt(local_backend(tmp_path / "expected"), scene, days)
    found, _ = content(case.make(tmp_path / "backend"))
    assert exact(found) == exact(expected)


@pytest.mark.parametrize("day", [FIRST, NEXT_YEAR], ids=["same range", "another partition"])
def test_of_two_loads_staged_on_one_snapshot_the_second_fails(case: BackendCase, tmp_path: Path, day: object) -> None:
    backend, other = case.make(tmp_path / "backend"), case.make(tmp_path / "backend")
    with backend.warehouse.connect("load_1") as early, other.warehouse.connect("load_2") as late:
        stage_rows(early, [price_row("IBM", FIRST)])
        stage_rows(late, [price_row("MSFT", NEXT_YEAR if day == NEXT_YEAR else FIRST)])
        early.replace_range(DAILY_PRICES, STAGED_PRICES, first=FIRST, last=FIRST, properties=PROPERTIES)

        with pytest.raises(ConcurrentPublish):
            late.replace_range(DAILY_PRICES, STAGED_PRICES, first=FIRST, last=NEXT_YEAR, properties=PROPERTIES)

    assert published(backend) == [("IBM", FIRST, 101.0)]


def test_a_commit_that_glue_rejects_is_retried(trino: TrinoOnEmulator, tmp_path: Path) -> None:
    """Trino retries first; when Trino gives up, the statement is sent again, as on Athena."""
    backend = trino.backend(tmp_path / "backend")
    publish(backend, [price_row("IBM", FIRST)], FIRST, FIRST)
    backend.engine.take_runs()
    with backend.warehouse.connect("load_1") as sql:
        stage_rows(sql, [price_row("IBM", FIRST), price_row("IBM", SECOND)])
        fault = CallFault("AWSGlue.UpdateTable", 400, "ConcurrentModificationException", times=3)
        trino.emulator.call_faults.append(fault)
        sql.replace_range(DAILY_PRICES, STAGED_PRICES, first=FIRST, last=SECOND, properties=PROPERTIES)

    assert fault.times == 0
    merges = [run.state for run in backend.engine.take_runs()[0] if run.statement == "MERGE"]
    assert merges[-1] == "FINISHED"
    assert published(backend) == [("IBM", FIRST, 101.0), ("IBM", SECOND, 101.0)]
    assert len(backend.warehouse.history(DAILY_PRICES)) == 2
