"""Which rows are selected, and how the others are reported."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.legacy_import.locations import LegacyFolder
from stock_assets.legacy_import.row_selection import ImportScope, Problem, Tally, select_rows
from stock_assets_tests.support.legacy_files import HEADER, LONG_AGO, dated, write_legacy_file
from stock_assets_tests.support.steps import FIVE

SCOPE = ImportScope(FIVE, date(2012, 1, 3), date(2013, 3, 1), datetime(2026, 1, 5, tzinfo=UTC))
MEMORY = 1000
GOOD = "2012-03-01,IBM,1,2,0.5,1.5,10"
BAR = "2012-03-01,1,2,0.5,1.5,10"


def lines_of(folder: Path, scope: ImportScope = SCOPE) -> dict[str, list[str]]:
    """Return the bars of each symbol, newest first."""
    with select_rows(LegacyFolder(folder, FileFormat()), scope, memory_limit_mb=MEMORY) as rows:
        return {symbol: [bar.line for bar in rows.bars(symbol)] for symbol in rows.symbols()}


def problems_of(folder: Path, scope: ImportScope = SCOPE) -> list[Problem]:
    with select_rows(LegacyFolder(folder, FileFormat()), scope, memory_limit_mb=MEMORY) as rows:
        return rows.problems()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("soon,IBM,1,2,0.5,1.5,10", "no date"),
        ("2012-02-30,IBM,1,2,0.5,1.5,10", "no date"),
        (",IBM,1,2,0.5,1.5,10", "no date"),
        ("2012-03-01 16:00:00,IBM,1,2,0.5,1.5,10", "no date"),
        ("2012-03-01,ZZZ,1,2,0.5,1.5,10", "symbol not in the universe: ZZZ"),
        ("2012-03-01,,1,2,0.5,1.5,10", "symbol not in the universe: "),
        ("2012-04-02,IBM,1,2,0.5,1.5,10", "dated after it was written"),
        ("2011-03-01,IBM,1,2,0.5,1.5,10", "outside the partitions"),
        ("2012-03-03,IBM,1,2,0.5,1.5,10", "the exchange was closed"),
        ("2012-03-01,IBM,1", "not a row"),
    ],
)
def test_an_unusable_row_is_reported_with_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    path = write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{GOOD}\n{line}\n{line}\n", LONG_AGO)
    [problem] = problems_of(tmp_path)
    assert (problem.reason, problem.rows, problem.first.place) == (reason, 2, f"{path}, line 3")
    assert lines_of(tmp_path) == {"IBM": [BAR]}


def test_a_session_that_has_not_closed_is_not_imported(tmp_path: Path) -> None:
    write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{GOOD}\n", LONG_AGO)
    early = replace(SCOPE, at=datetime(2012, 3, 1, 20, tzinfo=UTC))
    assert [problem.reason for problem in problems_of(tmp_path, early)] == ["session not closed yet"]


@pytest.mark.parametrize("day", ["2012-03-01 00:00:00", "2012-03-01T00:00:00Z", "2012-03-01 00:00:00.000+00:00"])
def test_a_date_may_be_a_timestamp_at_midnight(tmp_path: Path, day: str) -> None:
    write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{day},IBM,1,2,0.5,1.5,10.0\n", LONG_AGO)
    assert lines_of(tmp_path) == {"IBM": [BAR]}


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    odd = "2012-03-02,IBM,n/a,-2,,01.50,-7.5"
    write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{odd}\n", LONG_AGO)
    assert lines_of(tmp_path) == {"IBM": [odd.replace("IBM,", "")]}


def test_contradicting_rows_of_one_file_are_all_imported(tmp_path: Path) -> None:
    other = "2012-03-01,IBM,1,2,0.5,1.5,11"
    write_legacy_file(tmp_path / "a.csv", f"{HEADER}\n{GOOD}\n{other}\n{GOOD}\n", LONG_AGO)
    assert lines_of(tmp_path) == {"IBM": [other.replace("IBM,", ""), BAR]}
    # A file that was written later corrects both.
    write_legacy_file(tmp_path / "b.csv", f"{HEADER}\n{other}\n{other}\n", LONG_AGO + timedelta(hours=1))
    assert lines_of(tmp_path) == {"IBM": [other.replace("IBM,", "")]}


def test_a_value_that_the_vendors_format_cannot_contain_stays_visible(tmp_path: Path) -> None:
    write_legacy_file(tmp_path / "old.csv", f'{HEADER}\n2012-03-01,IBM,"1,000",2,0.5,1.5,1\u00a00\n', LONG_AGO)
    assert lines_of(tmp_path) == {"IBM": ["2012-03-01,1?000,2,0.5,1.5,1?0"]}


def test_parquet_values_become_text(tmp_path: Path) -> None:
    columns = {
        "date": pa.array([datetime(2012, 3, 1), datetime(2012, 3, 2)], pa.timestamp("ms")),  # noqa: DTZ001
        "symbol": pa.array(["IBM", "IBM"]),
        "open": pa.array([0.1, 1234.5678], pa.float64()),
        "high": pa.array([0.1, 1234.5], pa.float32()),
        "low": pa.array(["1.50", None]),
        "close": pa.array([1, 2], pa.int32()),
        "volume": pa.array([12345678901.0, None], pa.float64()),
    }
    path = tmp_path / "part-0"
    pq.write_table(pa.table(columns), path, use_deprecated_int96_timestamps=True)
    dated(path, LONG_AGO)
    assert lines_of(tmp_path) == {"IBM": ["2012-03-02,1234.5678,1234.5,,2,", "2012-03-01,0.1,0.1,1.50,1,12345678901"]}


def test_rows_with_equal_numbers_are_repetitions(tmp_path: Path) -> None:
    same = ["2012-03-01,IBM,1.0,2.00,0.5,1.50,10.0", "2012-03-01,IBM,01,2,.5,1.5,10"]
    write_legacy_file(tmp_path / "a.csv", "\n".join([HEADER, GOOD, same[0], ""]), LONG_AGO)
    with select_rows(LegacyFolder(tmp_path, FileFormat()), SCOPE, memory_limit_mb=MEMORY) as rows:
        assert rows.tally() == Tally(rows=2, repeated=1, contradicted=0, before_close=0)
    # `.5` is not a number for the audits either.
    write_legacy_file(tmp_path / "b.csv", "\n".join([HEADER, same[1], ""]), LONG_AGO)
    with select_rows(LegacyFolder(tmp_path, FileFormat()), SCOPE, memory_limit_mb=MEMORY) as rows:
        assert rows.tally() == Tally(rows=3, repeated=1, contradicted=1, before_close=0)


def test_a_damaged_file_is_reported_and_none_of_its_rows_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stock_assets.ingest.price_files.reader._BATCH", 10)
    write_legacy_file(tmp_path / "a.csv", f"{HEADER}\n{GOOD}\n", LONG_AGO)
    damaged = write_legacy_file(
        tmp_path / "b.csv", f"{HEADER}\n{GOOD.replace('IBM', 'ORCL')}\n".encode() * 400 + b"\xff"
    )
    with select_rows(LegacyFolder(tmp_path, FileFormat()), SCOPE, memory_limit_mb=MEMORY) as rows:
        assert (rows.files, rows.symbols()) == (1, ["IBM"])
        [unreadable] = rows.unreadable
        assert unreadable.place == str(damaged)
        assert "not UTF-8" in unreadable.text


def test_a_stated_time_applies_to_all_files(tmp_path: Path) -> None:
    write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{GOOD}\n", datetime(1980, 1, 1, tzinfo=UTC))
    [problem] = problems_of(tmp_path)
    assert problem.reason == "dated after it was written"
    assert lines_of(tmp_path, replace(SCOPE, written_at=LONG_AGO)) == {"IBM": [BAR]}


def test_no_file_counts_as_written_in_the_future(tmp_path: Path) -> None:
    write_legacy_file(tmp_path / "old.csv", f"{HEADER}\n{GOOD}\n", datetime(2100, 1, 1, tzinfo=UTC))
    with select_rows(LegacyFolder(tmp_path, FileFormat()), SCOPE, memory_limit_mb=MEMORY) as rows:
        assert rows.bars("IBM")[0].written_at == SCOPE.at


# DuckDB decides by `__main__.__file__`, which neither this command nor a process that Dagster spawns has.
PROGRESS_BAR = """
from stock_assets.legacy_import.row_selection import SelectedRows, select_rows

def print_setting(rows, *_):
    print(rows._connection.execute("SELECT current_setting('enable_progress_bar')").fetchall())

SelectedRows.read_files = print_setting
with select_rows(None, None, memory_limit_mb=300):
    pass
"""


def test_a_process_that_duckdb_takes_for_an_interactive_one_prints_no_progress_bar() -> None:
    assert subprocess.check_output([sys.executable, "-c", PROGRESS_BAR], text=True).strip() == "[(False,)]"
