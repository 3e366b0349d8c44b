"""What is sent to Athena: how much, with which predicates, in which dialect, and word for word."""

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import sqlglot
from sqlglot import exp

from stock_assets.build import build_definitions
from stock_assets.homes.aws.athena import LARGEST_STATEMENT
from stock_assets.settings import Settings
from stock_assets_tests.support.aws_double import AwsDouble
from stock_assets_tests.support.aws_homes import double_home
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, TWO_WEEKS, Scene, wavy_source

SNAPSHOT = Path(__file__).parent.parent.parent / "snapshots" / "athena_statements.sql"
MOST_STATEMENTS = 10


@pytest.fixture
def scene(tmp_path: Path, aws: AwsDouble) -> Scene:
    return Scene(double_home(aws.endpoint, tmp_path / "home"), wavy_source())


@pytest.fixture
def run_session(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[date], dg.ExecuteInProcessResult]:
    """Run the job for one session, as the schedule does."""
    monkeypatch.chdir(tmp_path)
    universe = tmp_path / "universe.csv"
    universe.write_text(
        "symbol,name,first_session,last_session\n" + "".join(f"{s},{s},,\n" for s in scene.universe.symbols)
    )
    settings = Settings(universe=universe, first_session=date(2012, 3, 1))
    # The report sends a statement for each of its panels, and is drawn when somebody wants it.
    path = dg.define_asset_job("path", dg.AssetSelection.all() - dg.AssetSelection.assets(["served", "report"]))
    wired = build_definitions(settings, resource_overrides={"home": scene.home, "source": scene.source})
    job = dg.Definitions.merge(wired, dg.Definitions(jobs=[path])).resolve_job_def("path")

    def run(session: date) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            return job.execute_in_process(
                instance=instance,
                partition_key=session.isoformat(),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

    return run


def normalised(statement: str) -> str:
    """Take out what differs from run to run: names of homes, loads and attempts, versions, moments."""
    for pattern, mark in (
        (r"load_[0-9]{8}t[0-9]{12}_[0-9a-f]{8}", "load_id"),
        (r"__[0-9a-f]{22}\b", "__attempt"),
        (r"/[0-9a-f]{22}/", "/attempt/"),
        (r"\bt[0-9a-f]{16}", "home"),
        (r"\b[0-9]{16,20}\b", "version"),
        (r"ingest_date(=| IN \(')[0-9-]{10}", r"ingest_date\1day"),
        (r"[0-9]{8}T[0-9]{12}Z", "moment"),
        (r"TIMESTAMP '20(?!12)[0-9 :.-]+'", "TIMESTAMP 'moment'"),
    ):
        statement = re.sub(pattern, mark, statement)
    return statement


def test_a_session_takes_few_statements_that_read_few_partitions(
    scene: Scene, aws: AwsDouble, run_session: Callable[[date], dg.ExecuteInProcessResult]
) -> None:
    scene.run(FIRST_WEEK)
    assert run_session(SECOND_WEEK[0]).success, "the first run makes the view"
    scene.source.set_bar("IBM", SECOND_WEEK[1], BAD_BAR)
    scene.deliver_again()
    aws.forget()

    result = run_session(SECOND_WEEK[1])

    assert result.success
    kinds = [statement.split(maxsplit=1)[0] for statement in aws.statements]
    assert kinds.count("MERGE") == 2, "prices and quarantine"
    assert len(kinds) <= MOST_STATEMENTS - 1, "a live source asks once more, for jumps"
    for statement in aws.statements:
        assert len(statement.encode()) < LARGEST_STATEMENT / 4
        assert unbounded_reads(statement) == []
    [published] = result.asset_materializations_for_node("publish")[1:]
    assert "athena statements so far" in {name for event in result.all_events for name in metadata_of(event)} | set(
        published.metadata
    )


def metadata_of(event: dg.DagsterEvent) -> list[str]:
    return list(event.step_materialization_data.materialization.metadata) if event.is_step_materialization else []


def unbounded_reads(statement: str) -> list[str]:
    """List the reads of published or raw tables that name no range of days or partitions."""
    tree = sqlglot.parse_one(statement, read="athena")
    found = []
    for table in tree.find_all(exp.Table):
        if not table.db.endswith(("_published", "_raw")) or "$" in table.name or table is tree.this:
            continue
        select = table.find_ancestor(exp.Select)
        where = select.args.get("where") if select else None
        joins = select.args.get("joins") or [] if select else []
        conditions = [part.sql("athena") for part in [where, *(join.args.get("on") for join in joins)] if part]
        column = "ingest_date" if table.db.endswith("_raw") else "trade_date"
        if not any(column in condition for condition in conditions):
            found.append(table.sql("athena"))
    return found


def test_unbounded_reads_are_found() -> None:
    assert unbounded_reads("SELECT * FROM a_published.daily_prices FOR VERSION AS OF 1 AS p") != []
    assert unbounded_reads("SELECT * FROM a_raw.daily_prices WHERE symbol = 'x'") != []
    assert unbounded_reads("SELECT * FROM a_published.daily_prices AS p WHERE trade_date > DATE '2012-01-01'") == []


def test_statements_are_as_they_were(scene: Scene, aws: AwsDouble) -> None:
    """Write a new snapshot with UPDATE_SNAPSHOTS=1, and read the difference before it is committed."""
    scene.source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    scene.run(FIRST_WEEK)
    scene.run(TWO_WEEKS)
    text = "\n;\n\n".join(map(normalised, aws.statements)) + "\n"
    assert all(sqlglot.parse_one(statement, read="athena") for statement in aws.statements)
    assert text == snapshot(text)


def snapshot(text: str) -> str:
    import os  # noqa: PLC0415 (the one test that reads the environment, to write its own record)

    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    return SNAPSHOT.read_text(encoding="utf-8")
