"""Every file below `sql/` runs on Trino and returns the same rows as on DuckDB."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.backends.trino.backend import TrinoBackend
from stock_assets.core.sql import Fragment, Name, SqlValue, Statement, bundled, statement
from stock_assets.core.tables import DAILY_PRICES, Column, ColumnType
from stock_assets.coverage.freshness import freshness
from stock_assets.coverage.missing_bars import coverage
from stock_assets.coverage.published_sessions import published_sessions
from stock_assets.ingest.split_requests import _jumps
from stock_assets.loads.load_report import load_report
from stock_assets.maintenance.purge import purge
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.verify import Depth, verify
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import run_query, summary
from stock_assets.serve.views import VIEWS, create_views
from stock_assets_tests.support.comparison import assert_alike
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, TWO_WEEKS, Scene, wavy_source
from stock_assets_tests.support.steps import FIVE, parts
from stock_assets_tests.support.trino_backends import TrinoOnEmulator

pytestmark = pytest.mark.trino

ROOT = Path(str(bundled("sql")))
SENT = {
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.sql")
    # Views have the same text on Athena and Trino; the other DDL files exist once per engine. The files of the legacy
    # import run on DuckDB, whatever the backend. Only the local backend stages a load in chunks.
    if ("ddl/athena/" not in path.as_posix() or path.name == "view.sql")
    and path.parent.name != "legacy_import"
    and path.name != "findings_of_chunks.sql"
}
DECEMBER = Fragment("trade_date BETWEEN DATE '2012-12-01' AND DATE '2012-12-31'")
SOME = Fragment("symbol IN ('AAPL', 'IBM')")


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_returns_the_same_rows_on_trino_and_duckdb(recorded_twice: tuple[Backend, Backend], name: str) -> None:
    local, on_trino = (run_query(backend, f"SELECT * FROM published.{name}") for backend in recorded_twice)

    assert on_trino.schema.types == local.schema.types
    assert_alike(local, on_trino)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_returns_the_same_rows_on_trino_and_duckdb(recorded_twice: tuple[Backend, Backend], name: str) -> None:
    found = []
    for backend in recorded_twice:
        with backend.warehouse.connect() as sql:
            select = PANELS[name].select(create_views(sql), dates=DECEMBER, symbols=SOME)
            found.append(sql.query(select))

    local, on_trino = found
    assert on_trino.schema.names == list(PANELS[name].columns)
    assert_alike(local, on_trino)


def test_every_file_is_sent(trino: TrinoOnEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the whole data path and everything that reads its tables, and record which files were bound."""
    bound: set[str] = set()
    bind = Statement.bind

    def recording(file: Statement, values: Mapping[str, SqlValue]) -> str:
        bound.add(file.path)
        return bind(file, values)

    monkeypatch.setattr(Statement, "bind", recording)
    backend = trino.backend(tmp_path / "backend")
    scene = Scene(backend, wavy_source())
    scene.source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    # Two bad bars of five exclude their session.
    for symbol in ("IBM", "MSFT"):
        scene.source.set_bar(symbol, TWO_WEEKS[7], BAD_BAR)
    scene.run(FIRST_WEEK)
    scene.source.set_splits("IBM", {TWO_WEEKS[4]: "2.0000"})
    scene.run(TWO_WEEKS)
    differences = list(verify(scene, Depth(recompute=Sample()), at=datetime.now(UTC)))
    load = scene.stage(TWO_WEEKS)
    report = load_report(backend, load)
    counts = published_sessions(scene, load)
    at = datetime(2012, 3, 15, 12, tzinfo=UTC)
    known = coverage(parts(backend, scene.source, FIVE, limits=scene.limits), TWO_WEEKS, at=at)
    seen = freshness(backend, at)
    jumps = _jumps(backend, FIRST_WEEK[0])
    shown = summary(backend)
    with backend.warehouse.connect() as sql:
        views = create_views(sql)
        for panel in PANELS.values():
            sql.query(panel.select(views, dates=DECEMBER, symbols=SOME))
    purged = purge(backend, "MSFT", datetime.now(UTC))
    change_tables(backend)

    assert report
    assert differences == []
    assert [found.row_count for found in counts] == [5, 4, 5, 5, 5, 5, 5, 0, 5, 5]
    assert [(bar.symbol, bar.audits) for bar in known.bars() if bar.session == FIRST_WEEK[1]] == [
        ("IBM", ("volume_not_negative",))
    ]
    assert set(known.rejected) == {TWO_WEEKS[7]}
    assert seen.latest == TWO_WEEKS[-1]
    assert isinstance(jumps, dict)
    assert {row.symbol for row in shown} == set(FIVE.symbols)
    assert purged[DAILY_PRICES] == len(TWO_WEEKS) - len(known.rejected)
    assert bound >= SENT


def change_tables(backend: TrinoBackend) -> None:
    """Send the statements that change a whole table: a new column, and maintenance."""
    engine, table = backend.engine, Name(f"{backend.database}_published.daily_prices")
    before = run_query(backend, "SELECT * FROM published.daily_prices ORDER BY symbol, trade_date")
    snapshots = len(backend.warehouse.history(DAILY_PRICES))
    for text in engine.ddl.add_columns(table, [Column("note", ColumnType.TIMESTAMP, "It's a column of this test")]):
        engine.run(text)
    with_note = engine.run(f"SELECT * FROM {table.value}")
    assert with_note.schema.types[-1] == pa.timestamp("us")
    engine.run(f"ALTER TABLE {table.value} DROP COLUMN note")
    engine.run(statement("ddl/trino/optimize.sql").bind({"table": table, "threshold": "128MB"}))
    assert len(backend.warehouse.history(DAILY_PRICES)) == snapshots + 1
    engine.run(statement("ddl/trino/expire_snapshots.sql").bind({"table": table, "age": "0s"}))
    assert len(backend.warehouse.history(DAILY_PRICES)) == 1
    stray = "published/daily_prices/data/left-by-a-killed-writer.parquet"
    backend.objects.put(stray, b"")
    engine.run(statement("ddl/trino/remove_orphan_files.sql").bind({"table": table, "age": "0s"}))
    assert stray not in backend.objects.keys("published/daily_prices/")
    after = run_query(backend, "SELECT * FROM published.daily_prices ORDER BY symbol, trade_date")
    assert after.equals(before)
