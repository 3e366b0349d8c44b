"""No unaudited row is published, whatever launched the run and whatever changed the staging tables."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import LoadRejected, NothingStaged
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.loads.load import drop_old_loads
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
from stock_assets_tests.support.scenes import (
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
def scene(backend: Backend) -> Scene:
    """The first week is published; all bars are fetched."""
    scene = Scene(backend, calm_source())
    scene.run(FIRST_WEEK)
    return scene


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The same, shared by tests whose loads are rejected and therefore change nothing."""
    scene = Scene(local_backend(tmp_path_factory.mktemp("shared")), calm_source())
    scene.run(FIRST_WEEK)
    return scene


@pytest.fixture
def dagster(scene: Scene, tmp_path: Path) -> WiredScene:
    return pipeline(scene, tmp_path)


def write_a_bar_twice(scene: Scene) -> None:
    scene.source.repeat_bar("IBM", DAY)
    scene.deliver_again()


def publish_rejected(result: dg.ExecuteInProcessResult) -> bool:
    step, message = failure(result)
    return step == "publish" and "one_row_per_symbol_and_session" in message and "was rejected" in message


def test_publish_alone_rejects_a_load_that_failed_its_audit(scene: Scene, dagster: WiredScene) -> None:
    write_a_bar_twice(scene)
    before = state(scene.backend)
    assert not dagster.run(STAGED | CHECKS | PUBLISHED, SECOND_WEEK).success

    result = dagster.run(PUBLISHED, SECOND_WEEK)

    assert checks(result) == {}
    assert publish_rejected(result)
    assert state(scene.backend) == before


def test_a_run_without_checks_rejects_a_bad_load(scene: Scene, dagster: WiredScene) -> None:
    write_a_bar_twice(scene)
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
