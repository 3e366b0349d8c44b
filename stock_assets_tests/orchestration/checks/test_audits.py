"""Every audit is its own check on the staged asset, and a failed blocking audit stops the run."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.loads.audit_files import AuditKind, audits
from stock_assets.loads.load import newest_load
from stock_assets.orchestration.keys import asset_key
from stock_assets_tests.support.dagster_runs import (
    CHECKS,
    PUBLISHED,
    WHOLE_PATH,
    WiredScene,
    checks,
    failure,
    pipeline,
    succeeded,
)
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, Scene, calm_source, keys, state, tamper
from stock_assets_tests.support.steps import FIVE, published_rows

DAY = date(2012, 3, 13)
ALL = {audit.name for audit in audits()}


@pytest.fixture
def scene(backend: Backend) -> Scene:
    return Scene(backend, calm_source())


@pytest.fixture
def dagster(scene: Scene, tmp_path: Path) -> WiredScene:
    return pipeline(scene, tmp_path)


def failed(found: Iterable[dg.AssetCheckEvaluation]) -> set[str]:
    return {evaluation.check_name for evaluation in found if not evaluation.passed}


def test_every_audit_is_its_own_check_and_passes_on_good_rows(scene: Scene, dagster: WiredScene) -> None:
    result = dagster.run(WHOLE_PATH, SECOND_WEEK)

    assert result.success
    found = checks(result)
    assert set(found) == ALL
    assert failed(found.values()) == set()
    load = newest_load(scene.backend, SECOND_WEEK).load_id
    assert {(check.metadata["bad rows"].value, check.metadata["load"].value) for check in found.values()} == {(0, load)}
    assert len(published_rows(scene.backend)) == len(FIVE.symbols) * len(SECOND_WEEK)


def test_the_kind_of_the_audit_decides_whether_its_check_blocks(dagster: WiredScene) -> None:
    specs = [
        spec
        for checks in dagster.definitions.asset_checks or []
        if isinstance(checks, dg.AssetChecksDefinition)
        for spec in checks.check_specs
        if spec.asset_key == asset_key(STAGED_PRICES)
    ]

    assert {spec.name: spec.blocking for spec in specs} == {
        audit.name: audit.kind is not AuditKind.WARNING for audit in audits()
    }
    assert all(spec.metadata["remedy"] and spec.description for spec in specs)


def test_a_quarantined_bar_is_a_warning_with_its_row_and_the_run_continues(scene: Scene, dagster: WiredScene) -> None:
    scene.source.set_bar("IBM", DAY, BAD_BAR)

    result = dagster.run(WHOLE_PATH, SECOND_WEEK)

    assert result.success
    found = checks(result)
    assert failed(found.values()) == {"volume_not_negative"}
    check = found["volume_not_negative"]
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.description == "1 bad row, first: IBM 2012-03-13: volume -5"
    assert check.metadata["bad rows"].value == 1
    [audit] = [audit for audit in audits() if audit.name == "volume_not_negative"]
    assert check.metadata["remedy"].value == audit.file.remedy
    sample = check.metadata["sample"]
    assert isinstance(sample, dg.TableMetadataValue)
    assert [record.data for record in sample.records] == [
        {"symbol": "IBM", "trade_date": "2012-03-13", "detail": "volume -5"}
    ]
    assert ("IBM", DAY) not in keys(published_rows(scene.backend))


def test_a_blocking_audit_stops_publish_in_the_same_run(scene: Scene, dagster: WiredScene) -> None:
    assert dagster.run(WHOLE_PATH, FIRST_WEEK).success
    before = state(scene.backend)
    for symbol in ("AAPL", "IBM", "MSFT"):
        for day in SECOND_WEEK:
            scene.source.set_bar(symbol, day, BAD_BAR)
    scene.deliver_again()

    result = dagster.run(WHOLE_PATH, SECOND_WEEK)

    assert not result.success
    check = checks(result)["quarantined_share_within_limit"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(check.description).startswith(
        "Excluded: 2012-03-08 to 2012-03-14; no session is left, so the load is rejected. "
    )
    assert "publish" not in succeeded(result)
    # Dagster did not start the step: the check stopped the run before the gate.
    assert "publish" not in [event.step_key for event in result.all_events if event.is_step_start]
    assert state(scene.backend) == before


def test_an_excluded_session_is_a_warning_with_its_reason_and_the_run_continues(
    scene: Scene, dagster: WiredScene
) -> None:
    for symbol in ("AAPL", "IBM", "MSFT"):
        scene.source.drop_bar(symbol, DAY)

    result = dagster.run(dg.AssetSelection.all(), SECOND_WEEK)

    assert result.success
    check = checks(result)["minimum_coverage"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == (
        "Excluded: 2012-03-13; the other sessions are published. 1 bad row, first: 2012-03-13: "
        "2 of 5 symbols, fewer than 50%; missing: AAPL, IBM, MSFT"
    )
    assert {day for _, day in keys(published_rows(scene.backend))} == set(SECOND_WEEK) - {DAY}
    for step in ("staged__daily_prices", "publish"):
        shown = {event.partition: event.metadata for event in result.asset_materializations_for_node(step)}
        assert shown["2012-03-12"]["load excluded"].value == "2012-03-13"
        assert str(shown["2012-03-13"]["excluded"].value).startswith("minimum_coverage: 2 of 5 symbols")
        assert "excluded" not in shown["2012-03-12"]


def test_a_warning_never_stops_the_run(scene: Scene, dagster: WiredScene) -> None:
    scene.source.drop_bar("IBM", DAY)

    result = dagster.run(WHOLE_PATH, SECOND_WEEK)

    assert result.success
    check = checks(result)["every_listed_symbol_present"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert len(published_rows(scene.backend)) == len(FIVE.symbols) * len(SECOND_WEEK) - 1


def test_checks_that_run_alone_check_the_newest_load(scene: Scene, dagster: WiredScene) -> None:
    scene.fetch(SECOND_WEEK + FIRST_WEEK)
    scene.stage(SECOND_WEEK)
    newest_load = scene.stage(FIRST_WEEK)
    tamper(scene.backend, newest_load, STAGED_PRICES, "SELECT * FROM {name} UNION ALL SELECT * FROM {name}")

    result = dagster.run(CHECKS)

    found = checks(result)
    assert set(found) == ALL
    # A row that is there twice also repeats the bar before it.
    assert failed(found.values()) == {"one_row_per_symbol_and_session", "no_repeated_bar"}
    assert {check.metadata["load"].value for check in found.values()} == {newest_load.load_id}


def test_checks_of_a_range_check_the_newest_load_of_this_range(scene: Scene, dagster: WiredScene) -> None:
    scene.fetch(SECOND_WEEK + FIRST_WEEK)
    scene.stage(SECOND_WEEK)
    load = scene.stage(SECOND_WEEK)
    scene.stage(FIRST_WEEK)

    result = dagster.run(CHECKS, SECOND_WEEK)

    assert {check.metadata["load"].value for check in checks(result).values()} == {load.load_id}


def test_one_check_can_run_alone(scene: Scene, dagster: WiredScene) -> None:
    scene.fetch(FIRST_WEEK)
    scene.stage(FIRST_WEEK)
    key = dg.AssetCheckKey(asset_key(STAGED_PRICES), "prices_positive")

    result = dagster.run(dg.AssetSelection.checks(key))

    assert result.success
    assert set(checks(result)) == {"prices_positive"}


def test_with_missing_columns_only_the_schema_is_checked_and_nothing_is_published(
    scene: Scene, dagster: WiredScene
) -> None:
    scene.fetch(FIRST_WEEK)
    load = scene.stage(FIRST_WEEK)
    tamper(scene.backend, load, STAGED_PRICES, "SELECT * EXCLUDE (volume) FROM {name}")

    result = dagster.run(CHECKS | PUBLISHED, FIRST_WEEK)

    assert not result.success
    found = checks(result)
    assert set(found) == {"columns_as_declared"}
    assert found["columns_as_declared"].severity is dg.AssetCheckSeverity.ERROR
    assert scene.backend.warehouse.history(DAILY_PRICES) == []


def test_checks_without_a_staged_load_fail_with_the_remedy(dagster: WiredScene) -> None:
    result = dagster.run(CHECKS)

    assert not result.success
    step, message = failure(result)
    assert step == "audits"
    assert "No load is staged. Materialize staged/daily_prices first." in message
