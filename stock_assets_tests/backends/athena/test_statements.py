"""What is sent to Athena, word for word: every kind of statement that the backend ever sends, in its dialect.

Belongs here: the record of what was sent. Does not belong here: how many statements (`test_costs`), the independent
grammar (`test_grammar`).
"""

import os
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlglot

from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import LoadRejected
from stock_assets.core.sql import Fragment, bundled, statement
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.coverage.gaps import coverage
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import relations, run_query, summary
from stock_assets.serve.report.data import OTHERS, SERIES, gather
from stock_assets.serve.views import create_views
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.aws_runs import Bars, LiveRuns, live_runs
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, tamper
from stock_assets_tests.support.small_files import iceberg_on_aws
from stock_assets_tests.support.steps import FIVE, parts

SNAPSHOT = Path(__file__).parent.parent.parent / "snapshots" / "athena_statements.sql"
SEPARATOR = "\n;\n\n"
HISTORY = sessions_between(date(2011, 6, 1), FIRST_WEEK[0])
MONTH = timedelta(days=30)
NEVER_SENT = ("ddl/trino/", "legacy_import/")
"""Files for Trino, and those that sort an earlier pipeline's rows: they run on this machine, whatever the backend."""
LEAST_PIECE = 12
"""Characters between two marks of a file below which they say nothing."""
FILES = sorted(str(file.relative_to(str(bundled("sql")))) for file in Path(str(bundled("sql"))).rglob("*.sql"))


def normalised(statement: str) -> str:
    """Take out what differs from run to run: names of backends, loads and attempts, versions, moments, today."""
    for pattern, mark in (
        (r"load_[0-9]{8}t[0-9]{12}_[0-9a-f]{8}", "load_id"),
        (r"__[0-9a-f]{22}\b", "__attempt"),
        (r"/[0-9a-f]{22}/", "/attempt/"),
        (r"\binput_[0-9a-f]{12}_", "input_token_"),
        (r"_payloads_[0-9a-f]{8}\b", "_payloads_token"),
        (r"\bt[0-9a-f]{16}", "backend"),
        (r"\b[0-9]{16,20}\b", "version"),
        (r"ingest_date(=| IN \(')[0-9-]{10}", r"ingest_date\1day"),
        (r"[0-9]{8}T[0-9]{12}Z", "moment"),
        (r"TIMESTAMP '20(?!1[12])[0-9 :.-]+'", "TIMESTAMP 'moment'"),
        (r"DATE '20(?!1[12])[0-9-]+'", "DATE 'day'"),
    ):
        statement = re.sub(pattern, mark, statement)
    return statement


def everything(runs: LiveRuns, aws: AwsEmulator) -> None:
    """Do all that ever sends a statement."""
    bars: Bars = {symbol: walk(symbol, [*HISTORY, *FIRST_WEEK[1:], *SECOND_WEEK]) for symbol in FIVE.symbols}
    # A load of many sessions, whose inputs are too large to be written out.
    runs.load(bars, HISTORY)
    # The daily job: with a bar in quarantine, then with an answer that others brought, and a split.
    runs.answer_with(bars, FIRST_WEEK[1])
    runs.source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    assert runs.run(FIRST_WEEK[1]).success
    runs.answer_with(bars, FIRST_WEEK[2])
    runs.source.set_splits("IBM", {FIRST_WEEK[2]: "2.0000"})
    runs.source.ask_for_splits_in_every_run()
    runs.backend.objects.put("raw/daily_prices/brought/IBM.csv", runs.source.fetch_prices("IBM", []))
    assert runs.run(FIRST_WEEK[2]).success
    _look(runs)
    _go_wrong(runs, bars)
    _maintain(runs, aws)
    # A version from before a column was added, and the column.
    table = aws.engine.catalog.load_table((f"{runs.backend.database}_published", "daily_prices"))
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("split_factor")
    run_query(runs.backend, "SELECT symbol, split_factor FROM published.daily_prices")


def _look(runs: LiveRuns) -> None:
    """What sensors, the command line, the report and the dashboards ask."""
    coverage(parts(runs.backend, runs.source, FIVE, limits=runs.scene.limits), FIRST_WEEK, at=datetime.now(UTC))
    relations(runs.backend)
    summary(runs.backend)
    for table in PUBLISHED_TABLES:
        runs.backend.warehouse.history(table)
    gather(parts(runs.backend, universe=FIVE))
    # What only the dashboards show.
    with runs.backend.warehouse.open() as sql:
        names = create_views(sql)
        for name in sorted(PANELS.keys() - {*SERIES, *OTHERS}):
            sql.query(PANELS[name].select(names, dates=Fragment("1 = 1"), symbols=Fragment("1 = 1")))


def _go_wrong(runs: LiveRuns, bars: Bars) -> None:
    """What is asked where a staging table is not as declared; and the way back."""
    runs.answer_with(bars, FIRST_WEEK[3])
    runs.scene.deliver_again()
    tamper(runs.backend, runs.scene.stage([FIRST_WEEK[3]]), STAGED_PRICES, "SELECT symbol, trade_date FROM {name}")
    with pytest.raises(LoadRejected, match="columns_as_declared"):
        runs.scene.publish([FIRST_WEEK[3]])
    versions = runs.backend.warehouse.history(DAILY_PRICES)
    runs.backend.warehouse.rollback(DAILY_PRICES, versions[1].snapshot_id)
    runs.backend.warehouse.rollback(DAILY_PRICES, versions[0].snapshot_id)


def _maintain(runs: LiveRuns, aws: AwsEmulator) -> None:
    """Two months later, after somebody else has added a file: lay out the rows anew, and let go of old versions."""
    stored = iceberg_on_aws(runs.backend)
    stored.append(stored.scan(limit=1).to_arrow())
    aws.set_clock(2 * MONTH)
    later = datetime.now(UTC) + 2 * MONTH
    for table in PUBLISHED_TABLES:
        runs.backend.warehouse.maintain(table, keep_since=later - MONTH, at=later)


@pytest.mark.slow
def test_statements_are_as_they_were(tmp_path: Path, aws: AwsEmulator) -> None:
    """Write a new snapshot with UPDATE_SNAPSHOTS=1, and read the difference before it is committed."""
    everything(live_runs(aws, tmp_path / "backend"), aws)

    text = SEPARATOR.join(dict.fromkeys(map(normalised, aws.statements))) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def recorded() -> list[str]:
    """Give the recorded statements."""
    return SNAPSHOT.read_text(encoding="utf-8").removesuffix("\n").split(SEPARATOR)


def test_each_statement_is_one_in_the_dialect_of_athena() -> None:
    for sent in recorded():
        [parsed] = sqlglot.parse(sent, read="athena")
        assert parsed is not None


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith(NEVER_SENT)])
def test_every_file_is_among_the_statements(path: str) -> None:
    """All that a file says between its marks stands in one and the same statement."""
    pieces = [piece.strip() for piece in re.split(r"\$\{[a-z_]+\}", statement(path).text)]
    said = [piece for piece in pieces if len(piece) >= LEAST_PIECE] or pieces[:1]
    assert any(all(piece in sent for piece in said) for sent in recorded())
