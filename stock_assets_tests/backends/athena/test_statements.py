"""The text of everything that is sent to Athena: each file of `sql/` once, as it is bound, in a snapshot.

Belongs here: recording and checking the texts. Does not belong here: the number of statements (`test_costs`), the check
with a grammar that is independent of sqlglot (`test_grammar`).

While the whole pipeline runs, each bound file is marked at its start and end, so that every statement that is sent can
be taken apart into the files it was built from. Where one file contains another, the snapshot has
`SELECT * FROM "path of the file"`, which is a statement too; so each file is recorded once, and each section parses.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlglot

from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import LoadRejected
from stock_assets.core.sql import Fragment, SqlValue, Statement, bundled, statement
from stock_assets.core.tables import DAILY_PRICES, PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.coverage.missing_bars import coverage
from stock_assets.maintenance.purge import purge, rows_of_purged_symbols
from stock_assets.maintenance.recompute import Sample
from stock_assets.maintenance.verify import Depth, verify
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import relations, summary
from stock_assets.serve.report.data import REPORT_PANELS, read_report
from stock_assets.serve.views import create_views
from stock_assets_tests.emulators.athena.emulator import AwsEmulator
from stock_assets_tests.support.athena_snapshot import END, OTHER, SNAPSHOT, recorded
from stock_assets_tests.support.aws_runs import Bars, LiveRuns, live_runs
from stock_assets_tests.support.bars import walk
from stock_assets_tests.support.scenes import BAD_BAR, FIRST_WEEK, SECOND_WEEK, tamper
from stock_assets_tests.support.small_files import iceberg_on_aws
from stock_assets_tests.support.steps import FIVE, parts

HISTORY = sessions_between(date(2011, 6, 1), FIRST_WEEK[0])
MONTH = timedelta(days=30)
NEVER_SENT = ("ddl/trino/", "legacy_import/", "audit/findings_of_chunks.sql")
"""Files for Trino, files of the legacy import, which run on DuckDB whatever the backend, and of loads in chunks."""
ALL_FORMS = ("ddl/", "publish/merge.sql")
"""Files of which the snapshot has every bound form; of all others it has the first form and a digest of the rest."""
COUNT = "SELECT COUNT(*) AS n FROM "
FILES = sorted(str(file.relative_to(str(bundled("sql")))) for file in Path(str(bundled("sql"))).rglob("*.sql"))
SENT_FILES = [path for path in FILES if not path.startswith(NEVER_SENT)]
MARK = re.compile(r"/\*<(/?)([a-z_/]+\.sql)>\*/")


@dataclass
class Recorder:
    """Takes sent statements apart into the files they were built from.

    Attributes:
        forms: the bound forms of each file, normalised, in the order in which they were sent first.
        from_no_file: statements that are more than one bound file.
    """

    forms: dict[str, dict[str, None]] = field(default_factory=dict)
    from_no_file: list[str] = field(default_factory=list)

    def record(self, sent: str) -> None:
        """Record the files of one statement, and what comes from no file."""
        stack: list[tuple[str, list[str]]] = [("", [])]
        done = 0
        for mark in MARK.finditer(sent):
            stack[-1][1].append(sent[done : mark.start()])
            done = mark.end()
            if not mark[1]:
                stack.append((mark[2], []))
                continue
            path, pieces = stack.pop()
            self._add(path, "".join(pieces))
            stack[-1][1].append(reference(path))
        outside = "".join([*stack[-1][1], sent[done:]]).strip()
        # A reading connection writes the SELECT of a view into the statement that counts its rows.
        if not done or outside in {f"{COUNT}(\n{reference(path)}\n)" for path in FILES}:
            self._add(OTHER, outside)
        elif len(stack) > 1 or outside not in {reference(path) for path in FILES}:
            self.from_no_file.append(outside)

    def _add(self, path: str, text: str) -> None:
        self.forms.setdefault(path, {})[normalised(text)] = None

    def text(self) -> str:
        """Format the snapshot."""
        return "\n".join(section for path in sorted(self.forms) for section in self._sections(path))

    def _sections(self, path: str) -> list[str]:
        name = path if path == OTHER else f"sql/{path}"
        first, *others = self.forms[path]
        if path.startswith((*ALL_FORMS, OTHER)):
            return [f"-- {name}\n{form}{END}" for form in (first, *others)]
        digest = hashlib.sha256("\n".join(sorted(others)).encode()).hexdigest()[:16]
        note = f" (and {len(others)} other form{'s' * (len(others) > 1)}, SHA-256 {digest})" if others else ""
        return [f"-- {name}{note}\n{first}{END}"]


def reference(path: str) -> str:
    """Return the statement that stands for a file inside another one."""
    return f'SELECT * FROM "{path}"'


@pytest.fixture
def recorder(aws: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Mark all files that are bound, and record all statements that are sent."""
    recorder, bind, start = Recorder(), Statement.bind, aws.start

    def marked(file: Statement, values: Mapping[str, SqlValue]) -> str:
        return f"/*<{file.path}>*/{bind(file, values)}/*</{file.path}>*/"

    def recorded_start(text: str, location: str) -> str:
        recorder.record(text)
        return start(MARK.sub("", text), location)

    monkeypatch.setattr(Statement, "bind", marked)
    monkeypatch.setattr(aws, "start", recorded_start)
    return recorder


def normalised(statement: str) -> str:
    """Replace what differs from run to run: names of backends, loads and attempts, snapshot ids, timestamps, today."""
    for pattern, mark in (
        (r"load_[0-9]{8}t[0-9]{12}_[0-9a-f]{8}", "load_id"),
        (r"__[0-9a-f]{22}\b", "__attempt"),
        (r"/[0-9a-f]{22}/", "/attempt/"),
        (r"\binput_[0-9a-f]{12}_", "input_token_"),
        (r"\bt[0-9a-f]{16}", "backend"),
        (r"\b[0-9]{16,20}\b", "snapshot_id"),
        (r"ingest_date(=| IN \(')[0-9-]{10}", r"ingest_date\1day"),
        (r"[0-9]{8}T[0-9]{12}Z", "timestamp"),
        (r"TIMESTAMP '20(?!1[12])[0-9 :.-]+'", "TIMESTAMP 'timestamp'"),
        (r"DATE '20(?!1[12])[0-9-]+'", "DATE 'day'"),
    ):
        statement = re.sub(pattern, mark, statement)
    return statement


def everything(runs: LiveRuns, aws: AwsEmulator) -> None:
    """Do everything that ever sends a statement."""
    bars: Bars = {symbol: walk(symbol, [*HISTORY, *FIRST_WEEK[1:], *SECOND_WEEK]) for symbol in FIVE.symbols}
    # A load of many sessions: its inputs are too large to be written inline.
    runs.load(bars, HISTORY)
    # The daily job: first with a quarantined bar, then with a landing file and a split.
    runs.respond_with(bars, FIRST_WEEK[1])
    runs.source.set_bar("IBM", FIRST_WEEK[1], BAD_BAR)
    assert runs.run(FIRST_WEEK[1]).success
    runs.respond_with(bars, FIRST_WEEK[2])
    runs.source.set_splits("IBM", {FIRST_WEEK[2]: "2.0000"})
    runs.source.request_splits_in_every_run()
    runs.backend.objects.put("raw/daily_prices/brought/IBM.csv", runs.source.fetch_prices("IBM", []))
    assert runs.run(FIRST_WEEK[2]).success
    _read(runs)
    _reject_and_roll_back(runs, bars)
    _exclude_a_session(runs, bars)
    purge(runs.backend, "ORCL", datetime.now(UTC))
    rows_of_purged_symbols(runs.backend)
    _maintain(runs, aws)
    # A stored table that lacks a column: the next connection adds it.
    table = aws.engine.catalog.load_table((f"{runs.backend.database}_published", "daily_prices"))
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.delete_column("volume_surge_ratio")
    with runs.backend.warehouse.connect() as sql:
        sql.query("SELECT symbol, volume_surge_ratio FROM published.daily_prices")


def _read(runs: LiveRuns) -> None:
    """Send the queries of sensors, the command line, the report and the dashboards."""
    coverage(parts(runs.backend, runs.source, FIVE, limits=runs.scene.limits), FIRST_WEEK, at=datetime.now(UTC))
    list(verify(parts(runs.backend, runs.source, FIVE), Depth(recompute=Sample()), at=datetime.now(UTC)))
    relations(runs.backend)
    summary(runs.backend)
    for table in PUBLISHED_TABLES:
        runs.backend.warehouse.history(table)
    read_report(parts(runs.backend, universe=FIVE))
    # Panels that only the dashboards contain.
    with runs.backend.warehouse.connect() as sql:
        names = create_views(sql)
        for name in sorted(PANELS.keys() - {*REPORT_PANELS}):
            sql.query(PANELS[name].select(names, dates=Fragment("1 = 1"), symbols=Fragment("1 = 1")))


def _reject_and_roll_back(runs: LiveRuns, bars: Bars) -> None:
    """Reject a load whose staging table differs from its declaration; roll back and forward."""
    runs.respond_with(bars, FIRST_WEEK[3])
    runs.scene.deliver_again()
    tamper(runs.backend, runs.scene.stage([FIRST_WEEK[3]]), STAGED_PRICES, "SELECT symbol, trade_date FROM {name}")
    with pytest.raises(LoadRejected, match="columns_as_declared"):
        runs.scene.publish([FIRST_WEEK[3]])
    snapshots = runs.backend.warehouse.history(DAILY_PRICES)
    runs.backend.warehouse.rollback(DAILY_PRICES, snapshots[1].snapshot_id)
    runs.backend.warehouse.rollback(DAILY_PRICES, snapshots[0].snapshot_id)


def _exclude_a_session(runs: LiveRuns, bars: Bars) -> None:
    """Publish a load without one of its sessions, of which too many bars are bad."""
    runs.respond_with(bars, FIRST_WEEK[4])
    for symbol in ("IBM", "MSFT"):
        runs.source.set_bar(symbol, FIRST_WEEK[4], BAD_BAR)
    runs.scene.deliver_again()
    load = runs.scene.stage(FIRST_WEEK[3:])
    assert load.excluded == (FIRST_WEEK[4],)
    runs.scene.publish(FIRST_WEEK[3:])


def _maintain(runs: LiveRuns, aws: AwsEmulator) -> None:
    """Two months later, after another writer has added a file: compact, and expire old snapshots."""
    stored = iceberg_on_aws(runs.backend)
    stored.append(stored.scan(limit=1).to_arrow())
    aws.set_clock(2 * MONTH)
    later = datetime.now(UTC) + 2 * MONTH
    for table in PUBLISHED_TABLES:
        runs.backend.warehouse.maintain(table, keep_since=later - MONTH, at=later)


@pytest.mark.slow
def test_sent_statements_equal_the_snapshot(tmp_path: Path, aws: AwsEmulator, recorder: Recorder) -> None:
    """Write a new snapshot with UPDATE_SNAPSHOTS=1, and read the difference before it is committed."""
    everything(live_runs(aws, tmp_path / "backend"), aws)

    assert recorder.from_no_file == []
    for sent in aws.statements:
        assert len(sqlglot.parse(sent, read="athena")) == 1
    assert len([query for query in recorder.forms[OTHER] if not query.startswith(COUNT)]) == 1
    text = recorder.text()
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_the_snapshot_contains_every_file_once_and_nothing_else() -> None:
    paths = [path for path, _ in recorded()]

    assert sorted({*paths}) == sorted([*SENT_FILES, OTHER])
    assert [path for path in {*paths} if paths.count(path) > 1 and not path.startswith((*ALL_FORMS, OTHER))] == []


def test_each_recorded_statement_parses_as_athena() -> None:
    for _, sent in recorded():
        [parsed] = sqlglot.parse(sent, read="athena")
        assert parsed is not None


@pytest.mark.parametrize("path", SENT_FILES)
def test_recorded_statements_follow_their_file(path: str) -> None:
    """Fails as soon as a file changes, before the slow test runs: each form has all text between the file's marks."""
    pieces = [normalised(piece) for piece in re.split(r"\$\{[a-z_]+\}", statement(path).text)]
    for found, sent in recorded():
        if found != path:
            continue
        assert sent.startswith(pieces[0])
        assert sent.endswith(pieces[-1])
        position = 0
        for piece in pieces:
            position = sent.find(piece, position) + len(piece)
            assert position >= len(piece), f"the snapshot is older than sql/{path}: {piece!r} is missing"
