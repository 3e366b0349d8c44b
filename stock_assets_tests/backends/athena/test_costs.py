"""The cost of loading one session on AWS: number of statements, partitions read, bytes read."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.athena.engine import LARGEST_STATEMENT
from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.checks.freshness import CHECK_NAME
from stock_assets.orchestration.sensors.report import SENSOR_NAME as REPORT
from stock_assets.settings import BackendName, Settings
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.support.athena_backends import BUCKET
from stock_assets_tests.support.aws_runs import LATEST, Bars, LiveRuns, kinds, live_runs, unbounded_reads
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.scenes import BAD_BAR
from stock_assets_tests.support.steps import FIVE

MOST_STATEMENTS = 11
AFTER_PUBLISHING = 2
"""Statements of the checks on the published rows."""
*HISTORY, BEFORE, _ = sessions_between(LATEST - timedelta(days=60), LATEST)


def bars_since(first: date) -> Bars:
    return {symbol: walk(symbol, sessions_between(first, LATEST)) for symbol in FIVE.symbols}


@pytest.fixture
def second_run(tmp_path: Path, aws: AwsEmulator) -> LiveRuns:
    """The state on any evening but the first, which creates the views; one bar of today fails an audit."""
    runs, bars = live_runs(aws, tmp_path / "backend"), bars_since(HISTORY[0])
    runs.load(bars, HISTORY)
    runs.respond_with(bars, BEFORE)
    assert runs.run(BEFORE).success
    runs.respond_with(bars, LATEST)
    runs.source.set_bar("IBM", LATEST, BAD_BAR)
    aws.forget()
    return runs


@pytest.mark.slow
def test_a_session_sends_at_most_eleven_statements_each_with_bounds_on_partitions(
    second_run: LiveRuns, aws: AwsEmulator
) -> None:
    """The whole daily job: quarantine and prices change, every audit and check runs, views and jumps are read."""
    log = second_run.backend.take_statement_log()
    result = second_run.run(LATEST)

    assert result.success
    checks = {check.check_name for check in result.get_asset_check_evaluations()}
    assert {CHECK_NAME, "no_revised_prices", "no_unexplained_jump", "every_listed_symbol_present"} <= checks
    sent = kinds(aws)
    assert (sent.count("CREATE"), sent.count("MERGE")) == (3, 2), "3 staging tables; prices and quarantine are merged"
    assert len(sent) <= MOST_STATEMENTS
    for statement in aws.statements:
        assert len(statement.encode()) < LARGEST_STATEMENT / 4
    # Jumps and freshness read the last weeks, up to the newest partition, so they have no upper bound.
    assert [statement.split(" AS", 1)[0] for statement in aws.statements if unbounded_reads(statement)] == [
        "SELECT symbol, MAX(trade_date)",
        "SELECT MAX(trade_date)",
    ]
    assert [unbounded_reads(statement, lower_only=True) for statement in aws.statements] == [[]] * len(sent)
    shown = [event.metadata for event in result.asset_materializations_for_node("publish")]
    assert [
        of["athena statements of this process"].value for of in shown if "athena statements of this process" in of
    ] == [len(log.total) + len(sent) - AFTER_PUBLISHING]


@pytest.mark.slow
def test_a_new_split_costs_one_statement_with_bounds_on_partitions(second_run: LiveRuns, aws: AwsEmulator) -> None:
    """The statement finds the rows with an outdated split factor; the next run does not send it."""
    second_run.source.set_splits("IBM", {LATEST: "2.0000"})
    second_run.source.request_splits_in_every_run()

    assert second_run.run(LATEST).success
    [of_split] = [statement for statement in aws.statements if "first_stale" in statement]
    assert f"DATE '{LATEST}'" in of_split
    assert "(VALUES (CAST('IBM' AS varchar))) AS v (\"symbol\")" in of_split
    assert [unbounded_reads(statement, lower_only=True) for statement in aws.statements] == [[]] * len(aws.statements)
    assert len(aws.statements) <= MOST_STATEMENTS + 1

    aws.forget()
    assert second_run.run(LATEST).success
    assert kinds(aws).count("MERGE") == 0
    assert len(aws.statements) <= MOST_STATEMENTS - 2
    assert [unbounded_reads(statement, lower_only=True) for statement in aws.statements] == [[]] * len(aws.statements)


@pytest.mark.slow
def test_bytes_read_per_session_do_not_grow_with_the_history(tmp_path: Path, aws: AwsEmulator) -> None:
    bars = bars_since(date(LATEST.year - 10, 1, 1))
    read: dict[int, int] = {}
    stored: dict[int, int] = {}
    for years in (1, 10):
        runs = live_runs(aws, tmp_path / f"{years}_years")
        runs.load(bars, sessions_between(date(LATEST.year - years, 1, 1), BEFORE))
        table = aws.engine.catalog.load_table((f"{runs.backend.database}_published", "daily_prices"))
        stored[years] = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
        runs.respond_with(bars, LATEST)
        aws.forget()
        assert runs.run(LATEST).success
        read[years] = sum(query.scanned_bytes for query in aws.queries.values())

    assert stored[10] > 4 * stored[1]
    assert read[10] == pytest.approx(read[1], rel=0.01)


def test_the_report_is_drawn_automatically_only_where_statements_are_free() -> None:
    aws = Settings(backend=BackendName.AWS, aws_bucket=BUCKET, aws_region=REGION)
    drawing = {
        settings.backend: [sensor.name for sensor in build_definitions(settings).sensors or [] if sensor.name == REPORT]
        for settings in (Settings(), aws)
    }
    assert drawing == {BackendName.LOCAL: [REPORT], BackendName.AWS: []}


def test_unbounded_reads_are_found() -> None:
    assert unbounded_reads("SELECT * FROM a_published.daily_prices FOR VERSION AS OF 1 AS p") != []
    assert unbounded_reads("SELECT * FROM a_raw.daily_prices WHERE symbol = 'x'") != []
    since = "SELECT * FROM a_published.daily_prices AS p WHERE trade_date > DATE '2012-01-01'"
    assert (unbounded_reads(since), unbounded_reads(since, lower_only=True)) == (["a_published.daily_prices AS p"], [])
    joined = (
        "SELECT * FROM a_staged.x AS s LEFT JOIN a_published.p AS p ON p.trade_date = s.trade_date"
        " AND s.trade_date BETWEEN DATE '2012-01-01' AND DATE '2012-01-02'"
    )
    assert unbounded_reads(joined) != [], "a bound that a planner could derive from the other table does not count"
    assert unbounded_reads(joined.replace("s.trade_date BETWEEN", "p.trade_date BETWEEN")) == []
