"""No unaudited row is published, whatever launched the run and whatever changed the staging tables."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import LoadRejected, NothingStaged
from stock_assets.core.tables import DAILY_PRICES, QUARANTINED_PRICES, STAGED_PRICES
from stock_assets.loads.load import drop_old_loads, newest_load
from stock_assets.stage.staging import stage
from stock_assets_tests.support.dagster_runs import (
    CHECKS,
    PUBLISHED,
    STAGED,
    WHOLE_PATH,
    WiredScene,
    checks,
    failure,
    pipeline,
)
from stock_assets_tests.support.published_week import PublishedWeek
from stock_assets_tests.support.scenes import (
    BAD_BAR,
    FIRST_WEEK,
    SECOND_WEEK,
    TWO_WEEKS,
    Scene,
    calm_source,
    keys,
    state,
    tamper,
)
from stock_assets_tests.support.steps import local_backend, published_rows

DAY = date(2012, 3, 13)


@pytest.fixture
def scene(published_week: PublishedWeek) -> Scene:
    """The first week is published; all bars are fetched."""
    return Scene(published_week(TWO_WEEKS), calm_source())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same, shared by tests whose loads are rejected and therefore change nothing."""
    scene = Scene(local_backend(tmp_path_factory.mktemp("shared")), calm_source())
    scene.run(FIRST_WEEK)
    return scene


@pytest.fixture
def dagster(scene: Scene, tmp_path: Path) -> WiredScene:
    return pipeline(scene, tmp_path)


def write_a_bad_week(scene: Scene) -> None:
    """Too many bars of every session are bad, so that no session is left to publish."""
    for symbol in ("AAPL", "IBM", "MSFT"):
        for day in SECOND_WEEK:
            scene.source.set_bar(symbol, day, BAD_BAR)
    scene.deliver_again()


def publish_rejected(result: dg.ExecuteInProcessResult) -> bool:
    step, message = failure(result)
    return step == "publish" and "quarantined_share_within_limit" in message and "was rejected" in message


def test_publish_alone_rejects_a_load_that_failed_its_audit(scene: Scene, dagster: WiredScene) -> None:
    write_a_bad_week(scene)
    before = state(scene.backend)
    assert not dagster.run(STAGED | CHECKS | PUBLISHED, SECOND_WEEK).success

    result = dagster.run(PUBLISHED, SECOND_WEEK)

    assert checks(result) == {}
    assert publish_rejected(result)
    assert state(scene.backend) == before


def test_a_run_without_checks_rejects_a_bad_load(scene: Scene, dagster: WiredScene) -> None:
    write_a_bad_week(scene)
    before = state(scene.backend)

    result = dagster.run(WHOLE_PATH.without_checks(), SECOND_WEEK)

    assert checks(result) == {}
    assert publish_rejected(result)
    assert state(scene.backend) == before


def test_a_run_without_checks_publishes_good_rows(scene: Scene, dagster: WiredScene) -> None:
    """So the tests above fail because of the audit, not because of the way of launching."""
    assert dagster.run((STAGED | PUBLISHED).without_checks(), SECOND_WEEK).success

    assert {day for _, day in keys(published_rows(scene.backend))} == set(FIRST_WEEK + SECOND_WEEK)


def test_publish_alone_publishes_a_load_that_was_staged_before(scene: Scene, dagster: WiredScene) -> None:
    assert dagster.run(STAGED, SECOND_WEEK).success
    assert dagster.run(PUBLISHED, SECOND_WEEK).success

    assert {day for _, day in keys(published_rows(scene.backend))} == set(FIRST_WEEK + SECOND_WEEK)


def replaced(column: str, value: str) -> str:
    return (
        f"SELECT * REPLACE (CASE WHEN symbol = 'IBM' AND trade_date = DATE '{DAY}' THEN {value} ELSE {column} END "
        f"AS {column}) FROM {{name}}"
    )


@pytest.mark.parametrize(
    ("select", "audit"),
    [
        (replaced("low_price", "-1.0"), "prices_positive"),
        (replaced("high_price", "1.0"), "high_not_below_body"),
        (replaced("close_price", "NULL"), "ohlcv_complete"),
        (
            f"SELECT * FROM {{name}} UNION ALL SELECT * FROM {{name}} WHERE trade_date = DATE '{DAY}'",
            "one_row_per_symbol_and_session",
        ),
        ("SELECT * FROM {name} WHERE symbol <> 'IBM'", "every_raw_row_accounted_for"),
        ("SELECT * EXCLUDE (volume) FROM {name}", "columns_as_declared"),
    ],
)
def test_staging_tables_that_changed_before_publish_are_audited_again(shared: Scene, select: str, audit: str) -> None:
    load = shared.stage(SECOND_WEEK)
    tamper(shared.backend, load, STAGED_PRICES, select)
    before = state(shared.backend)

    with pytest.raises(
        LoadRejected, match=f"load {load.load_id} was rejected and not published; the table has not changed. {audit}"
    ):
        shared.publish(SECOND_WEEK)

    assert state(shared.backend) == before


def test_the_error_names_every_blocking_audit(shared: Scene) -> None:
    load = shared.stage(SECOND_WEEK)
    tamper(shared.backend, load, STAGED_PRICES, f"{replaced('low_price', '-1.0')} UNION ALL SELECT * FROM {{name}}")

    with pytest.raises(LoadRejected, match="one_row_per_symbol_and_session") as rejected:
        shared.publish(SECOND_WEEK)

    assert "prices_positive" in str(rejected.value)


@pytest.fixture
def excluding(scene: Scene) -> Scene:
    """The second week, in which one session has too many bad bars."""
    for symbol in ("IBM", "MSFT"):
        scene.source.set_bar(symbol, DAY, BAD_BAR)
    scene.deliver_again()
    return scene


def test_an_excluded_session_is_not_published_and_the_others_are(excluding: Scene) -> None:
    load = excluding.stage(SECOND_WEEK)

    done = excluding.publish(SECOND_WEEK)

    assert (done.load, load.excluded) == (load, (DAY,))
    assert {day for _, day in keys(published_rows(excluding.backend))} == set(TWO_WEEKS) - {DAY}


def test_an_excluded_session_keeps_its_published_rows_and_its_quarantine(excluding: Scene) -> None:
    """Its metrics still follow corrections of earlier sessions."""
    everything = Scene(excluding.backend, calm_source())
    everything.source.set_bar("ORCL", DAY, BAD_BAR)
    everything.deliver_again()
    everything.stage(TWO_WEEKS)
    everything.publish(TWO_WEEKS)
    before = {(row["symbol"], row["trade_date"]): row for row in published_rows(excluding.backend)}
    quarantine = published_rows(excluding.backend, QUARANTINED_PRICES)
    assert keys(quarantine) == {("ORCL", DAY)}
    excluding.source.set_bar("AAPL", SECOND_WEEK[2], "100,102,99,101.5,1000")
    excluding.deliver_again()
    excluding.stage(SECOND_WEEK)

    excluding.publish(SECOND_WEEK)

    after = {(row["symbol"], row["trade_date"]): row for row in published_rows(excluding.backend)}
    assert published_rows(excluding.backend, QUARANTINED_PRICES) == quarantine
    assert {key: row for key, row in after.items() if key[1] == DAY and key[0] != "AAPL"} == {
        key: row for key, row in before.items() if key[1] == DAY and key[0] != "AAPL"
    }
    assert after["AAPL", DAY]["close_price"] == before["AAPL", DAY]["close_price"]
    assert after["AAPL", DAY]["prev_close"] == 101.5


def test_a_limit_that_excludes_a_session_after_staging_stages_the_load_again(excluding: Scene) -> None:
    scene = excluding
    scene.change(limits=replace(scene.limits, max_quarantined_share=0.5))
    load = scene.stage(SECOND_WEEK)
    assert load.excluded == ()
    scene.change(limits=replace(scene.limits, max_quarantined_share=0.1))

    done = scene.publish(SECOND_WEEK)

    assert done.load.load_id > load.load_id
    assert done.load.excluded == (DAY,)
    assert {day for _, day in keys(published_rows(scene.backend))} == set(TWO_WEEKS) - {DAY}


def test_a_load_without_any_session_left_is_rejected(scene: Scene) -> None:
    write_a_bad_week(scene)
    load = scene.stage(SECOND_WEEK)
    before = state(scene.backend)

    with pytest.raises(
        LoadRejected, match=r"Every requested session is excluded\. quarantined_share_within_limit: 5 bad rows"
    ):
        scene.publish(SECOND_WEEK)

    assert load.excluded == tuple(SECOND_WEEK)
    assert state(scene.backend) == before


def test_only_symbols_of_an_import_count_for_its_coverage(backend: Backend) -> None:
    scene = Scene(backend, calm_source())
    for symbol in ("AAPL", "CSCO", "IBM"):
        scene.source.drop_bar(symbol, DAY)
    scene.fetch(SECOND_WEEK)
    assert scene.stage(SECOND_WEEK).excluded == (DAY,)

    load = stage(scene, SECOND_WEEK, coverage_symbols={"MSFT", "ORCL"})
    assert (load.excluded, newest_load(scene.backend, SECOND_WEEK)) == ((), load)
    assert scene.publish(SECOND_WEEK).load == load


def test_the_quarantined_share_of_an_import_excludes_no_session(backend: Backend) -> None:
    scene = Scene(backend, calm_source())
    for symbol in ("MSFT", "ORCL"):
        scene.source.set_bar(symbol, DAY, BAD_BAR)
    scene.fetch(SECOND_WEEK)
    assert scene.stage(SECOND_WEEK).excluded == (DAY,)

    load = stage(scene, SECOND_WEEK, coverage_symbols={"IBM", "MSFT", "ORCL"})
    assert (load.excluded, load.quarantined) == ((), 2)
    assert scene.publish(SECOND_WEEK).load == load


def test_publish_without_a_staged_load_fails_with_a_remedy(shared: Scene) -> None:
    load = shared.stage(TWO_WEEKS)
    drop_old_loads(shared.backend, older_than=timedelta(), now=load.staged_at + timedelta(seconds=1))

    with pytest.raises(NothingStaged) as error:
        shared.publish(TWO_WEEKS)

    assert str(error.value) == (
        "No load of the sessions 2012-03-01 to 2012-03-14 is staged. "
        "Materialize staged/daily_prices for exactly these sessions first."
    )


@pytest.mark.parametrize("part", [SECOND_WEEK[1:], SECOND_WEEK[:-1], [DAY], [FIRST_WEEK[-1], *SECOND_WEEK]])
def test_publish_of_sessions_other_than_the_staged_ones_fails(shared: Scene, part: list[date]) -> None:
    """A load is audited as a whole, so it is published as a whole."""
    shared.stage(SECOND_WEEK)
    before = state(shared.backend)

    with pytest.raises(NothingStaged, match=f"{part[0]} to {part[-1]}"):
        shared.publish(part)

    assert state(shared.backend) == before


def test_publish_without_a_staged_load_fails_in_dagster(scene: Scene, dagster: WiredScene) -> None:
    step, message = failure(dagster.run(PUBLISHED, SECOND_WEEK))

    assert step == "publish"
    assert "Materialize staged/daily_prices" in message
    assert len(scene.backend.warehouse.history(DAILY_PRICES)) == 1
