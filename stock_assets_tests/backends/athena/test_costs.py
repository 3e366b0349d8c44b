"""What a run of one session costs on AWS: how many statements, which partitions, how many bytes."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from stock_assets.backends.athena.engine import LARGEST_STATEMENT
from stock_assets.core.calendar import sessions_between
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.checks.freshness import CHECK_NAME
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.keys import REPORT
from stock_assets.settings import BackendName, Settings
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.emulators.athena.names import REGION
from stock_assets_tests.support.athena_backends import BUCKET
from stock_assets_tests.support.aws_runs import LATEST, Bars, LiveRuns, kinds, live_runs, unbounded_reads
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.scenes import BAD_BAR
from stock_assets_tests.support.steps import FIVE

MOST_STATEMENTS = 10
*HISTORY, BEFORE, _ = sessions_between(LATEST - timedelta(days=60), LATEST)


def bars_since(first: date) -> Bars:
    return {symbol: walk(symbol, sessions_between(first, LATEST)) for symbol in FIVE.symbols}


@pytest.fixture
def second_run(tmp_path: Path, aws: AwsEmulator) -> LiveRuns:
    """Everything as it is on any evening but the first one, which makes the views; one bar of today is bad."""
    runs, bars = live_runs(aws, tmp_path / "backend"), bars_since(HISTORY[0])
    runs.load(bars, HISTORY)
    runs.answer_with(bars, BEFORE)
    assert runs.run(BEFORE).success
    runs.answer_with(bars, LATEST)
    runs.source.set_bar("IBM", LATEST, BAD_BAR)
    aws.forget()
    return runs


@pytest.mark.slow
def test_a_session_takes_ten_statements_at_most_each_with_bounds(second_run: LiveRuns, aws: AwsEmulator) -> None:
    """The whole daily job: quarantine and prices change, every audit and check runs, views and jumps are looked at."""
    result = second_run.run(LATEST)

    assert result.success
    checks = {check.check_name for check in result.get_asset_check_evaluations()}
    assert {CHECK_NAME, "no_revised_prices", "no_unexplained_jump", "every_listed_symbol_present"} <= checks
    sent = kinds(aws)
    assert (sent.count("CREATE"), sent.count("MERGE")) == (3, 2), "staging tables; prices and quarantine"
    assert len(sent) <= MOST_STATEMENTS
    for statement in aws.statements:
        assert len(statement.encode()) < LARGEST_STATEMENT / 4
    # Jumps and freshness are looked for in the last weeks, up to the newest partition, whichever that is.
    assert [statement.split(" AS", 1)[0] for statement in aws.statements if unbounded_reads(statement)] == [
        "SELECT symbol, MAX(trade_date)",
        "SELECT MAX(trade_date)",
    ]
    assert [unbounded_reads(statement, lower_only=True) for statement in aws.statements] == [[]] * len(sent)
    shown = [event.metadata for event in result.asset_materializations_for_node("publish")]
    assert [of["athena statements so far"].value for of in shown if "athena statements so far" in of] == [len(sent) - 1]


@pytest.mark.slow
def test_the_day_a_split_is_learned_costs_the_one_statement_that_reads_every_row(
    second_run: LiveRuns, aws: AwsEmulator
) -> None:
    """It finds the rows whose factor is out of date; the next run does without it again."""
    second_run.source.set_splits("IBM", {LATEST: "2.0000"})
    second_run.source.ask_for_splits_in_every_run()

    assert second_run.run(LATEST).success
    everything = [statement for statement in aws.statements if unbounded_reads(statement, lower_only=True)]
    assert ["first_stale" in statement for statement in everything] == [True]
    assert len(aws.statements) <= MOST_STATEMENTS + 1

    aws.forget()
    assert second_run.run(LATEST).success
    assert kinds(aws).count("MERGE") == 0
    assert len(aws.statements) <= MOST_STATEMENTS - 2
    assert [unbounded_reads(statement, lower_only=True) for statement in aws.statements] == [[]] * len(aws.statements)


@pytest.mark.slow
def test_what_a_session_reads_does_not_grow_with_the_history(tmp_path: Path, aws: AwsEmulator) -> None:
    bars = bars_since(date(LATEST.year - 10, 1, 1))
    read: dict[int, int] = {}
    stored: dict[int, int] = {}
    for years in (1, 10):
        runs = live_runs(aws, tmp_path / f"{years}_years")
        runs.load(bars, sessions_between(date(LATEST.year - years, 1, 1), BEFORE))
        table = aws.engine.catalog.load_table((f"{runs.backend.database}_published", "daily_prices"))
        stored[years] = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
        runs.answer_with(bars, LATEST)
        aws.forget()
        assert runs.run(LATEST).success
        read[years] = sum(query.scanned_bytes for query in aws.queries.values())

    assert stored[10] > 4 * stored[1]
    assert read[10] == pytest.approx(read[1], rel=0.01)


def test_the_report_is_drawn_by_the_daily_job_where_statements_cost_nothing() -> None:
    aws = Settings(backend=BackendName.AWS, aws_bucket=BUCKET, aws_region=REGION)
    jobs = [build_definitions(settings).resolve_job_def(JOB_NAME) for settings in (Settings(), aws)]

    assert [REPORT in job.asset_layer.executable_asset_keys for job in jobs] == [True, False]
    assert REPORT in build_definitions(aws).resolve_asset_graph().materializable_asset_keys


def test_unbounded_reads_are_found() -> None:
    assert unbounded_reads("SELECT * FROM a_published.daily_prices FOR VERSION AS OF 1 AS p") != []
    assert unbounded_reads("SELECT * FROM a_raw.daily_prices WHERE symbol = 'x'") != []
    since = "SELECT * FROM a_published.daily_prices AS p WHERE trade_date > DATE '2012-01-01'"
    assert (unbounded_reads(since), unbounded_reads(since, lower_only=True)) == (["a_published.daily_prices AS p"], [])
    joined = (
        "SELECT * FROM a_staged.x AS s LEFT JOIN a_published.p AS p ON p.trade_date = s.trade_date"
        " AND s.trade_date BETWEEN DATE '2012-01-01' AND DATE '2012-01-02'"
    )
    assert unbounded_reads(joined) != [], "what a planner may conclude from the other side does not count"
    assert unbounded_reads(joined.replace("s.trade_date BETWEEN", "p.trade_date BETWEEN")) == []
