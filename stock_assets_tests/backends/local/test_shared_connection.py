"""The steps of a small load share one DuckDB connection, and see what a new connection would see."""

from datetime import date
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.backends.local.warehouse import DuckDbWarehouse
from stock_assets.core.errors import QueryFailed
from stock_assets_tests.support.rows import price_row
from stock_assets_tests.support.scenes import FIRST_WEEK, SECOND_WEEK, Scene, content, wavy_source
from stock_assets_tests.support.steps import local_backend
from stock_assets_tests.support.table_rows import FIRST, publish


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Return the folders for spilling of the connections that are opened."""
    folders: list[Path | None] = []
    original = DuckDbWarehouse._duckdb  # noqa: SLF001 (only there is DuckDB opened)

    def counted(self: DuckDbWarehouse, spill: Path | None = None) -> object:
        folders.append(spill)
        return original(self, spill)

    monkeypatch.setattr(DuckDbWarehouse, "_duckdb", counted)
    return folders


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, wavy_source())


def load_and_audit(scene: Scene, sessions: list[date]) -> None:
    scene.fetch(sessions)
    audit_load(scene, scene.stage(sessions))


def test_the_steps_of_a_load_open_one_connection(scene: Scene, opened: list[Path | None]) -> None:
    load_and_audit(scene, FIRST_WEEK)
    scene.publish(FIRST_WEEK)
    load_and_audit(scene, SECOND_WEEK)
    scene.publish(SECOND_WEEK)

    assert len(opened) == 2


def test_rows_and_audit_records_equal_those_of_a_process_for_each_step(
    scene: Scene, tmp_path: Path, opened: list[Path | None]
) -> None:
    load_and_audit(scene, FIRST_WEEK)
    scene.publish(FIRST_WEEK)
    opened.clear()

    def separate() -> Scene:
        return Scene(local_backend(tmp_path / "separate"), scene.source)

    separate().fetch(FIRST_WEEK)
    audit_load(separate(), separate().stage(FIRST_WEEK))
    with patch("stock_assets.audit.record.run_audits", side_effect=AssertionError("audited again")):
        separate().publish(FIRST_WEEK)

    assert len(opened) == 3
    assert content(separate().backend) == content(scene.backend)


def test_a_publish_by_another_writer_is_seen_by_the_next_step(scene: Scene, tmp_path: Path) -> None:
    load_and_audit(scene, SECOND_WEEK)
    snapshot = publish(local_backend(tmp_path / "backend"), [price_row("A", FIRST)], FIRST, FIRST)

    done = scene.publish(SECOND_WEEK)

    assert done.load.base_snapshot == snapshot, "the load was staged again on top of that commit"


def test_an_error_closes_the_connection(backend: Backend, opened: list[Path | None]) -> None:
    with backend.warehouse.connect("load_1") as sql:
        sql.divide(["IBM"], 1)
    with pytest.raises(QueryFailed), backend.warehouse.connect("load_1") as sql:
        sql.query("SELECT nothing FROM nowhere")
    with backend.warehouse.connect("load_1"):
        pass

    assert len(opened) == 2


def test_a_large_load_opens_a_connection_for_each_step(backend: Backend, opened: list[Path | None]) -> None:
    for _ in range(2):
        with backend.warehouse.connect("load_1") as sql:
            sql.divide(["IBM", "AAPL"], 100_000)

    assert len(opened) == 2


def test_the_next_step_sees_changed_inputs_and_forgets_others(backend: Backend) -> None:
    def registered(*values: int, extra: bool = False) -> tuple[list[object], str]:
        with backend.warehouse.connect("load_1") as sql:
            sql.divide(["IBM"], 1)
            if extra:
                sql.register("extra", pa.table({"x": [1]}))
            name = sql.register("numbers", pa.table({"x": list(values)}))
            return sql.query(f"SELECT x FROM {name.value}")["x"].to_pylist(), sql.digests().inputs

    first, with_extra = registered(1, 2, extra=True)
    again, digest = registered(1, 2)
    changed, other = registered(3)

    assert (first, again, changed) == ([1, 2], [1, 2], [3])
    assert len({with_extra, digest, other}) == 3
    assert registered(1, 2) == ([1, 2], digest)
