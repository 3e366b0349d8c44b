"""Other programs read the tables and views of a data folder with plain DuckDB, whatever happens to the snapshots."""

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.local.durable import sync
from stock_assets.backends.local.views_file import VIEWS_FILE
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.pipeline import Pipeline
from stock_assets.serve.views import VIEWS, store_views
from stock_assets.settings import Settings
from stock_assets_tests.support.shell import Shell

FIRST = sessions_between(date(2013, 2, 20), date(2013, 2, 22))
SECOND = sessions_between(date(2013, 2, 25), date(2013, 3, 1))
ALL = [*FIRST, *SECOND]
LONG_AFTER = timedelta(days=400)
RELATIONS = [*(table.full_name for table in PUBLISHED_TABLES), *(view.full_name for view in VIEWS.values())]
_PROGRAM = """
import duckdb, json, sys
file, *selects = sys.argv[1:]
with duckdb.connect(file, read_only=True) as connection:
    print(json.dumps([connection.sql(select).fetchall() for select in selects], default=str))
"""


def publish(pipeline: Pipeline, sessions: Sequence[date], *, store: bool = True) -> None:
    """Load sessions, and store the views as the job does, unless the process is killed before."""
    pipeline.fetch(sessions)
    pipeline.stage(sessions)
    pipeline.publish(sessions)
    if store:
        store_views(pipeline.backend)


def read(settings: Settings, *selects: str) -> list[list[list[object]]]:
    """Run SELECTs on the file in another process, which knows nothing of this project."""
    command = [sys.executable, "-I", "-c", _PROGRAM, str(settings.root / VIEWS_FILE), *selects]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[list[list[object]]] = json.loads(done.stdout)
    return rows


def published(settings: Settings) -> list[str]:
    """Return the sessions that the file shows."""
    [rows] = read(settings, "SELECT DISTINCT trade_date FROM published.daily_prices ORDER BY trade_date")
    return [str(day) for (day,) in rows]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data [1]")


@pytest.fixture
def pipeline(settings: Settings) -> Pipeline:
    return Pipeline.from_settings(settings)


def days(sessions: Sequence[date]) -> list[str]:
    """Return sessions as texts."""
    return [session.isoformat() for session in sessions]


def test_every_table_and_view_has_the_rows_of_the_pipeline(settings: Settings, pipeline: Pipeline) -> None:
    publish(pipeline, ALL)
    found = read(settings, *(f"SELECT * FROM {name} ORDER BY ALL" for name in RELATIONS))
    for name, rows in zip(RELATIONS, found, strict=True):
        expected = [list(row.values()) for row in pipeline.query(f"SELECT * FROM {name}").to_pylist()]
        assert sorted(rows, key=str) == sorted(json.loads(json.dumps(expected, default=str)), key=str), name
    assert len(found[0]) == 5 * len(ALL)


@pytest.mark.slow
def test_a_file_of_an_earlier_publish_stays_readable_until_maintenance_writes_it_again(
    settings: Settings, pipeline: Pipeline
) -> None:
    """The process was killed between the commit and the file; then maintenance expires every other snapshot."""
    publish(pipeline, FIRST)
    publish(pipeline, SECOND, store=False)
    assert published(settings) == days(FIRST)
    (settings.root / f".{VIEWS_FILE}.1").touch()

    retention = RetentionPolicy(staging=timedelta(0), snapshots=timedelta(0), runs=timedelta(0))
    done = maintain(pipeline.backend, retention, datetime.now(UTC) + LONG_AFTER)
    assert done.tables[DAILY_PRICES.full_name].snapshots_expired == 1
    assert published(settings) == days(ALL)


@pytest.mark.slow
def test_the_file_is_written_before_snapshots_expire(
    settings: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(pipeline, FIRST)
    publish(pipeline, SECOND, store=False)
    seen = []

    def stop(*_: object, **__: object) -> None:
        seen.append(published(settings))
        raise InterruptedError

    monkeypatch.setattr(type(pipeline.backend.warehouse), "maintain", stop)
    retention = RetentionPolicy(staging=timedelta(0), snapshots=timedelta(0), runs=timedelta(0))
    with pytest.raises(InterruptedError):
        maintain(pipeline.backend, retention, datetime.now(UTC) + LONG_AFTER)
    assert seen == [days(ALL)]


@pytest.mark.slow
def test_a_publish_during_the_writing_is_not_lost(
    settings: Settings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slower process must not replace the file of a faster one by the rows of an older snapshot."""
    publish(pipeline, FIRST)
    others = [SECOND]

    def sync_while_another_process_publishes(path: Path) -> None:
        sync(path)
        if others:
            publish(pipeline, others.pop())

    monkeypatch.setattr("stock_assets.backends.local.views_file.sync", sync_while_another_process_publishes)
    store_views(pipeline.backend)
    assert published(settings) == days(ALL)


@pytest.mark.slow
def test_a_rollback_and_a_moved_folder_update_the_file(settings: Settings, pipeline: Pipeline, tmp_path: Path) -> None:
    publish(pipeline, FIRST)
    publish(pipeline, SECOND)
    shell = Shell(settings.data_dir)
    first = pipeline.backend.warehouse.history(DAILY_PRICES)[-1]
    shell.run_main("rollback", str(first.snapshot_id))
    assert published(settings) == days(FIRST)

    moved = tmp_path / "elsewhere"
    settings.data_dir.rename(moved)
    assert "moved from" in Shell(moved).run_main("relocate").stdout
    assert published(Settings(data_dir=moved)) == days(FIRST)


def test_reading_and_an_empty_folder_write_no_file(settings: Settings, pipeline: Pipeline) -> None:
    store_views(pipeline.backend)
    assert not settings.data_dir.exists()
