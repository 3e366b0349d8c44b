"""The checks on the published rows find rows that are missing, repeated, or not those of the load."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.compute as pc
import pytest

from stock_assets.backends.local import iceberg
from stock_assets.backends.local.data_folder import DataFolder
from stock_assets.core.errors import LoadRejected
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.core.universe import Universe
from stock_assets.coverage.published_sessions import published_sessions
from stock_assets.loads.load import newest_load
from stock_assets.orchestration.keys import asset_key
from stock_assets_tests.support.audit_mutations import root_of
from stock_assets_tests.support.dagster_runs import checks, pipeline
from stock_assets_tests.support.published_week import Restored
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, Scene, calm_source, tamper
from stock_assets_tests.support.steps import FIVE, local_backend

GRAIN, COMMITTED, LISTED = (
    "one_row_per_symbol_and_session",
    "every_committed_row_is_published",
    "every_listed_symbol_is_published",
)
DAY = date(2012, 3, 6)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(local_backend(tmp_path / "data"), calm_source())


@pytest.fixture
def first_week(restored: Restored) -> Scene:
    """The first week is published."""
    return Scene(restored("calm week", lambda backend: Scene(backend, calm_source()).run(FIRST_WEEK)), calm_source())


def results(scene: Scene, folder: Path) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks alone, as the button of the UI does."""
    prices = dg.AssetSelection.checks_for_assets(asset_key(DAILY_PRICES))
    result = pipeline(scene, folder).run(prices)
    assert result.success
    return checks(result, asset_key(DAILY_PRICES))


def failed(scene: Scene, folder: Path) -> dict[str, str]:
    """Return the descriptions of the checks that failed."""
    found = results(scene, folder)
    assert found.keys() == {GRAIN, COMMITTED, LISTED}
    return {name: str(check.description) for name, check in found.items() if not check.passed}


def test_a_complete_load_passes(first_week: Scene, tmp_path: Path) -> None:

    found = results(first_week, tmp_path)

    assert all(check.passed for check in found.values())
    assert {check.metadata["rows"].value for check in found.values()} == {25}
    assert {check.metadata["covers"].value for check in found.values()} == {"2012-03-01 to 2012-03-07"}


def test_a_row_that_another_program_repeats_is_found(first_week: Scene, tmp_path: Path) -> None:
    stored = iceberg.load(DataFolder(root_of(first_week.backend)).prepare(), DAILY_PRICES)
    rows = stored.scan().to_arrow()
    stored.append(rows.filter(pc.and_(pc.equal(rows["symbol"], "IBM"), pc.equal(rows["trade_date"], DAY))))

    counts = "session 2012-03-06 has 6 published rows of 5 symbols, 5 of 5 listed symbols, 5 committed by the load"
    assert failed(first_week, tmp_path) == {GRAIN: f"2012-03-06: {counts}", COMMITTED: f"2012-03-06: {counts}"}


CHANGES = {
    "one close, by a millionth": "IF(r.symbol = 'IBM', r.close_price + 1E-6, r.close_price) AS close_price",
    "two symbols' closes": "CASE r.symbol WHEN 'IBM' THEN m.close_price ELSE r.close_price END AS close_price",
    "a volume": "IF(r.symbol = 'IBM', r.volume + 1, r.volume) AS volume",
    "a metric that becomes NULL": "CAST(NULL AS DOUBLE) AS prev_close",
    "a metric": "r.volatility * 1.0001 AS volatility",
    "a pattern": "'flat' AS candle_type",
    "a flag": "NOT r.is_market_up AS is_market_up",
    "a split factor": "r.split_factor * 2 AS split_factor",
    "rows under the symbol of another": "CASE r.symbol WHEN 'IBM' THEN 'MSFT' WHEN 'MSFT' THEN 'IBM' ELSE r.symbol END "
    "AS symbol",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_value_that_another_program_changes_is_found(first_week: Scene, change: str) -> None:
    load = newest_load(first_week.backend, FIRST_WEEK)
    stored = iceberg.load(DataFolder(root_of(first_week.backend)).prepare(), DAILY_PRICES)
    rows = stored.scan(row_filter=f"trade_date = '{DAY}'").to_arrow()
    replaced = CHANGES[change].rpartition(" AS ")[2]
    columns = ", ".join(CHANGES[change] if name == replaced else f"r.{name}" for name in rows.column_names)
    select = f"SELECT {columns} FROM rows AS r, (FROM rows WHERE symbol = 'MSFT') AS m"
    changed = duckdb.sql(select)
    assert changed is not None
    stored.overwrite(changed.to_arrow_table().cast(rows.schema), overwrite_filter=f"trade_date = '{DAY}'")

    wrong = {found.session: found for found in published_sessions(first_week, load) if not found.is_as_committed}

    assert wrong.keys() == {DAY}
    assert wrong[DAY].row_count == wrong[DAY].committed == 5


def test_a_changed_value_fails_the_check(first_week: Scene, tmp_path: Path) -> None:
    stored = iceberg.load(DataFolder(root_of(first_week.backend)).prepare(), DAILY_PRICES)
    rows = stored.scan(row_filter=f"trade_date = '{DAY}'").to_arrow()
    close = rows.column_names.index("close_price")
    stored.overwrite(
        rows.set_column(close, rows.schema.field(close), pc.add(rows["close_price"], 0.01)),
        overwrite_filter=f"trade_date = '{DAY}'",
    )

    assert failed(first_week, tmp_path) == {
        COMMITTED: "2012-03-06: session 2012-03-06 has 5 published rows of 5 symbols, 5 of 5 listed symbols, with "
        "other values than the load committed"
    }


def test_rows_that_another_program_deletes_are_found(first_week: Scene, tmp_path: Path) -> None:
    stored = iceberg.load(DataFolder(root_of(first_week.backend)).prepare(), DAILY_PRICES)
    stored.delete(f"trade_date = '{DAY}'")

    found = failed(first_week, tmp_path)

    assert found.keys() == {COMMITTED, LISTED}
    assert found[COMMITTED].startswith("2012-03-06: session 2012-03-06 has 0 published rows of 0 symbols")


def test_a_quarantined_bar_is_missing_but_not_lost(scene: Scene, tmp_path: Path) -> None:
    scene.change(limits=replace(scene.limits, max_quarantined_share=0.5))
    scene.source.set_bar("IBM", DAY, BAD_BAR)
    scene.run(FIRST_WEEK)

    assert failed(scene, tmp_path).keys() == {LISTED}


def test_an_excluded_session_is_missing_and_was_not_committed(scene: Scene, tmp_path: Path) -> None:
    for symbol in ("AAPL", "CSCO"):
        scene.source.set_bar(symbol, DAY, BAD_BAR)
    scene.run(FIRST_WEEK)

    assert failed(scene, tmp_path).keys() == {LISTED}


def test_a_rejected_load_committed_nothing(first_week: Scene, tmp_path: Path) -> None:
    first_week.fetch(SECOND_WEEK)
    tamper(
        first_week.backend, first_week.stage(SECOND_WEEK), STAGED_PRICES, "SELECT * FROM {name} WHERE symbol <> 'IBM'"
    )
    with pytest.raises(LoadRejected):
        first_week.publish(SECOND_WEEK)

    assert failed(first_week, tmp_path).keys() == {LISTED}


def test_a_symbol_outside_the_universe_does_not_replace_a_missing_one(scene: Scene, tmp_path: Path) -> None:
    scene.change(universe=Universe(FIVE.listings[1:]))
    scene.run(FIRST_WEEK)
    scene.change(universe=Universe(FIVE.listings[:-1]))

    assert failed(scene, tmp_path).keys() == {LISTED}
