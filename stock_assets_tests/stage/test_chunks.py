"""A load in chunks of symbols has the rows, findings and snapshots of a load in one piece, whatever their size."""

from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stock_assets.audit.gate import audit_load
from stock_assets.backends.local import staged_files
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.local.chunks import EVERY_SYMBOL, Chunk, divide
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import DamagedResponses, DiskFull
from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.ingest.ledger_queries import responses_for
from stock_assets.loads.inputs import inputs
from stock_assets.loads.load import Load
from stock_assets.loads.load_report import load_report
from stock_assets.loads.verdict import Verdict
from stock_assets_tests.support.audit_mutations import (
    MUTATIONS,
    Mutation,
    failed_audits,
    verdicts_by_name,
    without_times,
)
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.scenes import BAD_BAR, TWO_WEEKS, Scene, calm_source, content, state, wavy_source
from stock_assets_tests.support.steps import FIVE

WINTER = sessions_between(date(2012, 12, 17), date(2013, 1, 15))
EXCLUDED, BAD = WINTER[4], WINTER[9]
COMPARING = {"every_session_has_bars", "symbols_still_trade", "minimum_coverage", "quarantined_share_within_limit"}
ALL_SIZES = (1, 120, 10_000)
"""Rows per chunk: one, two and all symbols."""


def scene_in(folder: Path, chunk_rows: int) -> Scene:
    return Scene(LocalBackend(folder, chunk_rows=chunk_rows), wavy_source(sessions=WINTER))


def first_load_with_problems(scene: Scene) -> Load:
    """Stage two years' sessions with a bad bar, an excluded session, a missing bar, a split and a halt."""
    for symbol in FIVE.symbols[:3]:
        scene.source.set_bar(symbol, EXCLUDED, BAD_BAR)
    scene.source.set_bar("MSFT", BAD, BAD_BAR)
    scene.source.drop_bar("ORCL", WINTER[6])
    scene.source.set_splits("CSCO", {WINTER[12]: "2.0000"})
    scene.fetch(WINTER)
    return scene.stage(WINTER)


def found(scene: Scene, load: Load) -> list[object]:
    """Return the verdicts, the rows and the report of a load, without what differs between two runs."""
    verdicts = [_without_ids(verdict) for verdict in audit_load(scene, load)]
    report = load_report(scene.backend, load)
    return [verdicts, load.rows, load.quarantined, load.excluded, report.sessions, report.prices, len(report.excluded)]


def _without_ids(verdict: Verdict) -> object:
    parts = (verdict.sample, verdict.named, verdict.quarantined)
    bars = [[(row.symbol, row.trade_date) for row in rows] for rows in parts]
    return verdict.audit.name, verdict.bad_rows, verdict.sessions, verdict.acknowledged, bars


def published_in_chunks(folder: Path, chunk_rows: int) -> list[object]:
    scene = scene_in(folder, chunk_rows)
    results: list[object] = [found(scene, first_load_with_problems(scene))]
    scene.publish(WINTER)
    # A bar is corrected, and a split of all years becomes known: published rows of both years are replaced.
    scene.source.set_bars("IBM", {BAD: "90,91,80,85,1000"})
    scene.source.set_splits("AAPL", {WINTER[2]: "3.0000"})
    scene.deliver_again()
    scene.fetch(WINTER[8:10])
    again = scene.stage(WINTER[8:10])
    results.append(found(scene, again))
    published = scene.publish(WINTER[8:10])
    rows, quarantine = content(scene.backend)
    history = [len(scene.backend.warehouse.history(table)) for table in PUBLISHED_TABLES]
    return [*results, published.prices.added, published.prices.removed, exact(rows), quarantine, history]


@pytest.mark.slow
def test_rows_findings_and_snapshots_are_the_same_whatever_the_size_of_a_chunk(tmp_path: Path) -> None:
    whole = published_in_chunks(tmp_path / "whole", ALL_SIZES[-1])
    for size in ALL_SIZES[:-1]:
        assert published_in_chunks(tmp_path / str(size), size) == whole


def test_the_files_of_a_load_in_chunks_are_one_per_year_and_sorted(tmp_path: Path) -> None:
    scene = scene_in(tmp_path, 1)
    scene.run(WINTER)

    files = sorted(tmp_path.glob("published/daily_prices/data/*/*.parquet"))
    assert [file.parent.name for file in files] == ["trade_year=2012", "trade_year=2013"]
    for file in files:
        keys = pq.read_table(file, columns=["symbol", "trade_date"]).to_pylist()
        assert keys == sorted(keys, key=lambda row: (row["symbol"], row["trade_date"]))
        assert pq.read_metadata(file).num_row_groups == len(FIVE.symbols)


@pytest.mark.slow
def test_a_load_that_fails_in_a_chunk_leaves_its_tables_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_in(tmp_path, 1)
    scene.run(WINTER[:5])
    before = state(scene.backend)
    scene.fetch(WINTER)
    add, calls = staged_files.SortedFiles.add, []

    def failing(self: staged_files.SortedFiles, *arguments: object) -> int:
        calls.append(self)
        if len(calls) == len(FIVE.symbols) + 3:
            raise OSError(28, "No space left on device")
        return add(self, *arguments)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(staged_files.SortedFiles, "add", failing)
    with pytest.raises(DiskFull):
        scene.stage(WINTER)
    monkeypatch.undo()

    newest = scene.backend.warehouse.staged_loads()[-1]
    tables = {path.name for path in (tmp_path / "staged" / "tables" / newest).iterdir() if path.is_dir()}
    assert STAGED_PRICES.name not in tables
    assert len(list((tmp_path / "staged" / "loads").rglob("*.json"))) == 1
    assert state(scene.backend) == before
    scene.stage(WINTER)
    assert scene.publish(WINTER).prices.added == len(FIVE.symbols) * len(WINTER[5:])


def test_damaged_responses_of_all_chunks_are_named(tmp_path: Path) -> None:
    scene = scene_in(tmp_path, 1)
    scene.fetch(WINTER)
    damaged = {fetch.response_key for fetch in responses_for(scene.backend, WINTER) if fetch.symbol in ("AAPL", "ORCL")}
    for key in damaged:
        (tmp_path / key).write_bytes(b"")

    with pytest.raises(DamagedResponses) as raised:
        scene.stage(WINTER)

    assert set(raised.value.damage) == damaged


def test_a_chunk_sees_its_symbols_only_and_afterwards_all_symbols_are_visible(tmp_path: Path) -> None:
    scene = scene_in(tmp_path, 120)
    scene.run(WINTER)
    load = scene.stage(WINTER)
    with scene.backend.warehouse.connect(load.load_id) as sql:
        values = inputs(scene, sql, load)
        relations = ("typed_prices", "published_prices", "staged_prices", "responses", "listings")

        def symbols() -> list[set[str]]:
            selects = [f"SELECT DISTINCT symbol FROM {values[name].value}" for name in relations]  # type: ignore[union-attr]  # names
            return [set(sql.query(select)["symbol"].to_pylist()) for select in selects]

        everything = symbols()
        assert sql.each_chunk(symbols) == [
            [{"AAPL", "CSCO"}] * len(relations),
            [{"IBM", "MSFT"}] * len(relations),
            [{"ORCL"}] * len(relations),
        ]
        assert everything == symbols() == [set(FIVE.symbols)] * len(relations)


def test_a_usual_load_has_one_chunk(tmp_path: Path) -> None:
    scene = Scene(LocalBackend(tmp_path), calm_source(sessions=WINTER))
    scene.fetch(WINTER)
    load = scene.stage(WINTER)
    with scene.backend.warehouse.connect(load.load_id) as sql:
        inputs(scene, sql, load)
        assert not sql.is_divided


def test_ranges_of_symbols_have_every_symbol_once_also_unknown_ones() -> None:
    chunks = divide(["C", "A", "B", "D", "E", "A"], rows_per_symbol=10, rows_per_chunk=25)

    assert chunks == [Chunk(None, "B"), Chunk("B", "D"), Chunk("D", None)]
    for symbol in ("", "0", "A", "AB", "B", "BB", "C", "D", "Z", "é"):
        assert sum(chunk.has(symbol) for chunk in chunks) == 1
    assert divide(["A", "B"], rows_per_symbol=1, rows_per_chunk=2) == [EVERY_SYMBOL]
    assert divide([], rows_per_symbol=0, rows_per_chunk=0) == [EVERY_SYMBOL]
    assert divide(["A", "B"], rows_per_symbol=100, rows_per_chunk=1) == [Chunk(None, "A"), Chunk("A", None)]


def check_mutation(folder: Path, mutation: Mutation, *, chunks: int) -> None:
    rows = len(FIVE.symbols) * len(TWO_WEEKS)
    scene = Scene(LocalBackend(folder, chunk_rows=rows // chunks), calm_source())
    load = mutation.mutate(scene)
    with scene.backend.warehouse.connect(load.load_id) as sql:
        inputs(scene, sql, load)
        assert sql.is_divided
    verdicts = verdicts_by_name(scene, load)

    assert failed_audits(verdicts) == {mutation.audit} | mutation.also
    assert without_times(verdicts[mutation.audit].sample) == mutation.sample
    assert verdicts[mutation.audit].bad_rows == len(mutation.sample)


def mutation_name(mutation: Mutation) -> str:
    return f"{mutation.audit}, {mutation.sample[0].detail}"


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.audit in COMPARING], ids=mutation_name)
def test_an_audit_that_compares_symbols_sees_all_of_them(tmp_path: Path, mutation: Mutation) -> None:
    check_mutation(tmp_path, mutation, chunks=2)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.audit not in COMPARING], ids=mutation_name)
def test_every_audit_finds_the_same_in_chunks_of_one_symbol(tmp_path: Path, mutation: Mutation) -> None:
    check_mutation(tmp_path, mutation, chunks=len(FIVE.symbols))
