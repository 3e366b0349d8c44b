"""Rows with an outdated split factor are found by reading those of the changed splits only, as if all were read."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stock_assets.backends import snapshots
from stock_assets.backends.interface import MAINTENANCE, Backend, Objects, Snapshot
from stock_assets.backends.local import maintenance as local_maintenance
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.backends.stored_records import record_body
from stock_assets.core.sql import Fragment, SqlValue, Statement, literal
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.ledger_queries import known_splits
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.ingest.splits import split_table
from stock_assets.loads import inputs as load_inputs
from stock_assets.loads.load import SPLITS_PROPERTY
from stock_assets.loads.split_factors import FOLDER, split_factors
from stock_assets.maintenance.maintenance import maintain
from stock_assets.maintenance.purge import purge
from stock_assets.maintenance.repair import Repair
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.stage.stale_factors import _recorded_digest, factors_followed, stale_range
from stock_assets_tests.support.bars import exact
from stock_assets_tests.support.scenes import TWO_WEEKS, Scene, content, rebuilt, wavy_source
from stock_assets_tests.support.steps import FIVE, local_backend, published_rows

Range = tuple[date | None, date | None]
Splits = Mapping[str, Mapping[date, str]]

T = TWO_WEEKS
LATEST = T[-1]
SUNDAY = date(2012, 3, 4)
FIRST: Splits = {"IBM": {T[2]: "2.0000", T[6]: "3.0000"}, "MSFT": {T[3]: "4.0000"}, "ORCL": {T[5]: "1.2530"}}
ALL_ROWS = dict.fromkeys(FIVE.symbols, 9)
MONTH = timedelta(days=30)
RETENTION = RetentionPolicy(staging=MONTH, snapshots=MONTH, runs=MONTH)


def two_companies(symbol: str) -> Universe:
    """Return the five symbols, one of which two companies have used."""
    periods = (Listing(symbol, "old", None, T[4]), Listing(symbol, "new", T[5]))
    return Universe((*(row for row in FIVE.listings if row.symbol != symbol), *periods))


def without(*symbols: str) -> Universe:
    return Universe(tuple(row for row in FIVE.listings if row.symbol not in symbols))


@pytest.fixture
def scene(backend: Backend) -> Scene:
    """All sessions but the newest one, published with the first splits."""
    scene = Scene(backend, wavy_source())
    for symbol, splits in FIRST.items():
        scene.source.set_splits(symbol, splits)
    scene.run(T[:-1])
    return scene


def learn(scene: Scene, splits: Splits) -> None:
    """Let the vendor have other splits, and request them."""
    for symbol, events in splits.items():
        scene.source.set_splits(symbol, events)
    fetch_splits(scene)


def found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> tuple[Range, dict[str, int]]:
    """Return the stale range, and the number of rows of each symbol that the statement reads."""
    bound: list[SqlValue] = []
    bind = Statement.bind

    def recording(file: Statement, values: Mapping[str, SqlValue]) -> str:
        if file.path == "stage/stale_splits.sql":
            bound.append(values["published_prices"])
        return bind(file, values)

    backend, splits = scene.backend, split_table(known_splits(scene), scene.universe)
    with backend.warehouse.connect() as sql, monkeypatch.context() as patch:
        patch.setattr(Statement, "bind", recording)
        followed = factors_followed(backend, sql.base(DAILY_PRICES))
        result = stale_range(backend, sql, sql.register("splits", splits), followed, split_factors(splits))
        counts = [f"SELECT symbol, COUNT(*) AS n FROM {literal(rows)} AS p GROUP BY symbol" for rows in bound]
        return result, {row["symbol"]: row["n"] for count in counts for row in sql.query(count).to_pylist()}


def stale_rows(scene: Scene) -> Range:
    """Return the range of the published rows whose factor is not the known one, row by row."""
    steps = split_factors(split_table(known_splits(scene), scene.universe)).steps

    def factor(symbol: object, session: date) -> float:
        return next((value for day, value in reversed(list(steps.get(str(symbol), {}).items())) if day <= session), 1.0)

    rows = [(row["symbol"], row["trade_date"], row["split_factor"]) for row in published_rows(scene.backend)]
    days = [day for symbol, day, found in rows if isinstance(day, date) and found != factor(symbol, day)]
    return min(days, default=None), max(days, default=None)


def remove_records(backend: Backend) -> None:
    for key in backend.objects.keys(FOLDER):
        backend.objects.delete(key)


CHANGES = [
    pytest.param({}, FIVE, {}, id="no change"),
    pytest.param({"AAPL": {T[4]: "2.0000"}}, FIVE, {"AAPL": 5}, id="added late"),
    pytest.param({"AAPL": {SUNDAY: "2.0000"}}, FIVE, {"AAPL": 7}, id="added on a closed day"),
    pytest.param({"AAPL": {date(1987, 5, 1): "2.0000"}}, FIVE, {"AAPL": 9}, id="added before all rows"),
    pytest.param({"AAPL": {LATEST: "2.0000"}}, FIVE, {}, id="added after all rows"),
    pytest.param({"IBM": {T[2]: "2.0000", T[4]: "5.0000", T[6]: "3.0000"}}, FIVE, {"IBM": 5}, id="added between"),
    pytest.param({"MSFT": {}}, FIVE, {"MSFT": 6}, id="removed"),
    pytest.param({"IBM": {T[6]: "3.0000"}}, FIVE, {"IBM": 7}, id="the first of two removed"),
    pytest.param({"IBM": {T[2]: "2.0000"}}, FIVE, {"IBM": 3}, id="the last of two removed"),
    pytest.param({"MSFT": {T[3]: "4.5000"}}, FIVE, {"MSFT": 6}, id="ratio changed"),
    pytest.param({"IBM": {T[2]: "3.0000", T[6]: "2.0000"}}, FIVE, {"IBM": 4}, id="ratios exchanged"),
    pytest.param({"MSFT": {T[5]: "4.0000"}}, FIVE, {"MSFT": 2}, id="moved to a later day"),
    pytest.param({"MSFT": {T[1]: "4.0000"}}, FIVE, {"MSFT": 2}, id="moved to an earlier day"),
    pytest.param(
        {"AAPL": {T[7]: "2.0000"}, "MSFT": {}, "ORCL": {T[4]: "1.2530"}},
        FIVE,
        {"AAPL": 6, "MSFT": 6, "ORCL": 6},
        id="several symbols",
    ),
    pytest.param({}, without("IBM", "CSCO"), {}, id="symbols leave the universe"),
    pytest.param({"IBM": {}}, without("MSFT"), {"IBM": 7}, id="a symbol leaves, another one changes"),
    pytest.param(
        {"NEW": {date(1987, 5, 1): "2.0000"}}, Universe((*FIVE.listings, Listing("NEW", ""))), {}, id="enters"
    ),
    pytest.param({}, two_companies("IBM"), {"IBM": 9}, id="a ticker has two companies"),
    pytest.param({"AAPL": {T[7]: "2.0000"}}, two_companies("IBM"), {"AAPL": 9, "IBM": 9}, id="companies and a split"),
]


@pytest.mark.parametrize(("splits", "universe", "read"), CHANGES)
def test_only_the_rows_of_changed_splits_are_read_and_the_range_is_that_of_all_rows(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, splits: Splits, universe: Universe, read: dict[str, int]
) -> None:
    scene.change(universe=universe)
    learn(scene, splits)

    stale, rows = found(scene, monkeypatch)

    assert rows == read
    assert stale == stale_rows(scene)
    remove_records(scene.backend)
    assert found(scene, monkeypatch) == (stale, ALL_ROWS if splits or read else {})


@pytest.mark.parametrize(
    "splits",
    [
        pytest.param({"AAPL": {T[4]: "2.0000"}, "MSFT": {}}, id="added and removed"),
        pytest.param({"IBM": {T[1]: "3.0000"}}, id="moved"),
    ],
)
def test_the_next_load_publishes_what_a_load_of_everything_would(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splits: Splits
) -> None:
    learn(scene, splits)
    scene.run([LATEST])

    assert exact(content(scene.backend)[0]) == exact(rebuilt(local_backend(tmp_path / "other"), scene, T)[0])
    assert found(scene, monkeypatch) == ((None, None), {})


def test_a_table_that_is_rolled_back_is_compared_with_its_own_splits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = scene.backend.warehouse.history(DAILY_PRICES)
    learn(scene, {"MSFT": {}})
    scene.run([LATEST])
    learn(scene, {"AAPL": {T[7]: "2.0000"}})
    later = found(scene, monkeypatch)

    scene.backend.warehouse.rollback(DAILY_PRICES, before.snapshot_id)

    assert later == ((T[7], LATEST), {"AAPL": 3})
    assert found(scene, monkeypatch) == (stale_rows(scene), {"AAPL": 6, "MSFT": 6})
    assert stale_rows(scene) == (T[3], T[8])


@pytest.mark.parametrize("others", [b"", b"{", record_body({"IBM": "2012-03-05 2.0"}), record_body(["IBM"])])
def test_all_rows_are_read_if_the_record_is_damaged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, others: bytes
) -> None:
    [key] = scene.backend.objects.keys(FOLDER)
    remove_records(scene.backend)
    scene.backend.objects.put(key, others)
    learn(scene, {"MSFT": {}})

    assert found(scene, monkeypatch) == ((T[3], T[8]), ALL_ROWS)


def test_all_rows_are_read_if_the_snapshot_is_of_another_writer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with scene.backend.warehouse.connect() as sql:
        rows = Fragment(f"(SELECT * FROM {DAILY_PRICES.full_name} WHERE trade_date < DATE '{T[8]}')")
        sql.replace_range(DAILY_PRICES, rows, first=T[0], last=T[8], properties={"added": "0", "removed": "5"})

    assert found(scene, monkeypatch) == ((None, None), dict.fromkeys(FIVE.symbols, 8))


def test_a_record_is_written_only_when_splits_have_changed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    put = type(scene.backend.objects).put

    def recording(objects: Objects, key: str, body: bytes) -> None:
        written.extend([key] if key.startswith(FOLDER) else [])
        put(objects, key, body)

    monkeypatch.setattr(type(scene.backend.objects), "put", recording)
    scene.run([LATEST])
    unchanged = list(written)
    learn(scene, {"MSFT": {}})
    load = scene.stage([LATEST])

    assert unchanged == []
    assert written == [f"{FOLDER}{load.splits}.json"]
    assert len(scene.backend.objects.keys(FOLDER)) == 2


def test_maintenance_keeps_the_records_that_snapshots_follow(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(scene, {"MSFT": {}})
    unpublished = scene.stage([LATEST])
    learn(scene, {"MSFT": {}, "IBM": {}})
    published = scene.run([LATEST]).load
    assert len(scene.backend.objects.keys(FOLDER)) == 3

    [later, first] = scene.backend.warehouse.history(DAILY_PRICES)

    maintain(scene.backend, RETENTION, datetime.now(UTC))
    young = scene.backend.objects.keys(FOLDER)
    maintain(scene.backend, replace(RETENTION, staging=timedelta(days=1)), datetime.now(UTC) + timedelta(days=2))
    retained = scene.backend.objects.keys(FOLDER)
    maintain(scene.backend, RETENTION, datetime.now(UTC) + 2 * MONTH)

    followed = {f"{FOLDER}{snapshot.properties[SPLITS_PROPERTY]}.json" for snapshot in (later, first)}
    assert len(followed) == 2
    assert set(retained) == followed, "a table may be rolled back to the first snapshot"
    assert f"{FOLDER}{unpublished.splits}.json" in young
    assert scene.backend.objects.keys(FOLDER) == [f"{FOLDER}{published.splits}.json"]
    learn(scene, {"AAPL": {T[7]: "2.0000"}})
    assert found(scene, monkeypatch) == ((T[7], LATEST), {"AAPL": 3})


def test_a_purge_keeps_the_splits_that_the_other_rows_follow(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.change(universe=without("ORCL"))
    assert purge(scene.backend, "ORCL", datetime.now(UTC)) == {DAILY_PRICES: 9}

    unchanged = found(scene, monkeypatch)
    learn(scene, {"AAPL": {T[7]: "2.0000"}})

    assert unchanged == ((None, None), {})
    assert found(scene, monkeypatch) == ((T[7], T[8]), {"AAPL": 4}), "also on the days of ORCL's split"
    assert stale_rows(scene) == (T[7], T[8])


def test_a_purge_of_rows_that_follow_unknown_splits_says_nothing_about_them(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene.backend.warehouse.connect() as sql:
        rows = Fragment(f"(SELECT * FROM {DAILY_PRICES.full_name} WHERE trade_date < DATE '{T[8]}')")
        sql.replace_range(DAILY_PRICES, rows, first=T[0], last=T[8], properties={"added": "0", "removed": "5"})
    scene.change(universe=without("ORCL"))
    purge(scene.backend, "ORCL", datetime.now(UTC))

    assert SPLITS_PROPERTY not in scene.backend.warehouse.history(DAILY_PRICES)[0].properties
    assert found(scene, monkeypatch)[1] == {symbol: 8 for symbol in FIVE.symbols if symbol != "ORCL"}


def test_a_rebuilt_table_has_the_record_of_the_splits_that_it_follows(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = scene.backend
    assert isinstance(backend, LocalBackend)
    remove_records(backend)
    for file in (backend.root / "published").rglob("*.parquet"):
        file.unlink()

    assert Repair(scene, backend, lambda _: None, at=datetime.now(UTC) + timedelta(days=1)).apply()
    scene.change(backend=local_backend(backend.root))
    learn(scene, {"AAPL": {T[7]: "2.0000"}})

    assert found(scene, monkeypatch) == ((T[7], T[8]), {"AAPL": 2})


def test_the_table_of_splits_is_built_once_for_a_load(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[pa.Table] = []

    def building(*arguments: Any) -> pa.Table:  # noqa: ANN401 (passed on)
        built.append(split_table(*arguments))
        return built[-1]

    monkeypatch.setattr(load_inputs, "split_table", building)
    scene.stage([LATEST])
    assert len(built) == 1


def of_load(snapshot_id: int, parent_id: int | None, splits: str) -> Snapshot:
    return Snapshot(snapshot_id, datetime.now(UTC), 1, {SPLITS_PROPERTY: splits}, is_current=False, parent_id=parent_id)


def compacted(snapshot_id: int, parent_id: int | None) -> Snapshot:
    properties = {MAINTENANCE: "compaction"}
    return Snapshot(snapshot_id, datetime.now(UTC), 1, properties, is_current=False, parent_id=parent_id)


@pytest.mark.parametrize(
    ("history", "digest"),
    [
        pytest.param([compacted(3, 2), of_load(2, 1, "b"), of_load(1, None, "a")], "b", id="after the newest load"),
        pytest.param([compacted(3, 1), of_load(2, 1, "b"), of_load(1, None, "a")], "a", id="after a rollback"),
        pytest.param([compacted(3, 2), compacted(2, 1), of_load(1, None, "a")], "a", id="twice"),
        pytest.param([compacted(3, 2), of_load(1, None, "a")], None, id="the compacted load has expired"),
        pytest.param([compacted(3, None)], None, id="no parent"),
        pytest.param([of_load(2, 1, "b"), of_load(1, None, "a")], None, id="unknown"),
    ],
)
def test_a_compacted_snapshot_follows_the_splits_of_its_parent(history: list[Snapshot], digest: str | None) -> None:
    assert _recorded_digest(history, 3) == digest


def test_a_rolled_back_table_that_is_compacted_is_compared_with_its_own_splits(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maintenance does not compact such a table, but another program may."""
    scene.run([LATEST])
    before = scene.backend.warehouse.history(DAILY_PRICES)[0]
    learn(scene, {"MSFT": {}})
    scene.run([LATEST])
    scene.backend.warehouse.rollback(DAILY_PRICES, before.snapshot_id)
    for module in (snapshots, local_maintenance):
        monkeypatch.setattr(module, "is_rolled_back", lambda _: False)

    maintain(scene.backend, RETENTION, datetime.now(UTC))

    assert scene.backend.warehouse.history(DAILY_PRICES)[0].is_maintenance
    assert found(scene, monkeypatch) == (stale_rows(scene), {"MSFT": 7})
    assert stale_rows(scene) == (T[3], LATEST)
