"""Commands as users type them: what they print, and what they change."""

import csv
import inspect
import io
import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet
import pytest

from stock_assets.backends.layout import LAYOUT_KEY, layout_body
from stock_assets.cli import load
from stock_assets.cli.output import print_error
from stock_assets.cli.read import DEFAULT_TABLE
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import UnknownSnapshot
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.price_files.csv_rows import DEFAULT_COLUMNS
from stock_assets.orchestration.runs import local_instance
from stock_assets.pipeline import Pipeline
from stock_assets_tests.support.shell import Shell

COLUMNS = "symbol, trade_date, close_price, volume, is_market_up"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A data folder with two published ranges."""
    shell = Shell(tmp_path_factory.mktemp("data"))
    first = shell.run("backfill", "2013-02-16", "2013-02-22").stdout
    assert "recorded sample, ends 2013-03-01: 4 sessions, 2013-02-19 to 2013-02-22" in first
    assert "Published: published.daily_prices." in first
    shell.run("backfill", "2013-02-25", "2013-03-01")
    return shell


def test_summary_prints_a_row_per_symbol_and_the_location(shell: Shell) -> None:
    out = shell.run("summary").stdout
    apple = next(line for line in out.splitlines() if "AAPL" in line)
    cells = [cell.strip() for cell in apple.strip("│┃ ").split("│")]
    assert cells[:6] == ["AAPL", "9", "2013-02-19", "2013-03-01", "0", "430.47"]
    assert str(shell.settings.root / "published" / "daily_prices") in out
    assert "recorded sample, ends 2013-03-01" in out


def test_summary_prints_chosen_symbols_and_names_unknown_ones(shell: Shell) -> None:
    lines = shell.run("summary", "--symbol", "ibm", "--symbol", "FB").stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("│")] == ["FB", "IBM"]
    assert "AAPL" in shell.run("summary", "--all").stdout
    assert "Choose one of --all and --symbol." in shell.run_main("summary", "--all", "--symbol", "FB", code=2).stderr
    for command in ("summary", "report"):
        error = shell.run_main(command, "--symbol", "IBN", code=1).stderr
        assert error.startswith("IBN has no published bar. Did you mean IBM? Published symbols: ")


def test_a_second_backfill_reports_that_nothing_changed(shell: Shell) -> None:
    assert "Nothing changed" in shell.run("backfill", "2013-02-25", "2013-03-01").stdout


def test_query_prints_a_table(shell: Shell) -> None:
    out = shell.run(
        "query", f"select {COLUMNS} from published.daily_prices where symbol = 'IBM' order by 2 desc"
    ).stdout
    assert "close_price" in out
    assert "2013-03-01" in out
    assert "9 rows" in out


def test_query_prints_only_csv(shell: Shell) -> None:
    select = f"select {COLUMNS} from published.daily_prices where trade_date = date '2013-03-01' order by symbol"
    rows = list(csv.reader(io.StringIO(shell.run("query", select, "--csv").stdout)))
    assert rows[0] == COLUMNS.split(", ")
    assert rows[1] == ["AAPL", "2013-03-01", "430.47", "19730300", "false"]
    assert [row[0] for row in rows[1:]] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


def test_query_writes_parquet(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    shell.run("query", "select * from published.daily_prices", "--parquet", str(file))
    rows = pyarrow.parquet.read_table(file)
    assert rows.column_names == DAILY_PRICES.column_names
    assert rows.num_rows == 45


def test_a_parquet_file_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "missing" / "out.parquet"
    error = shell.run_main("query", "select * from published.daily_prices", "--parquet", str(file), code=1).stderr
    assert error.startswith(f"{file}: No such file or directory. Check the path")


def test_an_invalid_query_prints_the_reason_without_a_class_name(shell: Shell) -> None:
    error = shell.run_main("query", "select nothing from published.daily_prices", code=1).stderr
    assert error.startswith("DuckDB ")
    assert "QueryFailed" not in error
    assert "Traceback" not in error


def test_query_limits_exported_rows_and_takes_one_format(shell: Shell) -> None:
    select = "select symbol, close_price from published.daily_prices order by trade_date, symbol"
    rows = json.loads(shell.run("query", select, "--json", "--limit", "2").stdout)
    assert [row["symbol"] for row in rows] == ["AAPL", "FB"]
    assert len(shell.run("query", select, "--csv", "--limit", "3").stdout.splitlines()) == 4
    assert "45 rows, the first 0 shown" in shell.run("query", select, "--limit", "0").stdout
    assert "Choose one of" in shell.run("query", select, "--csv", "--json", code=2).stderr


def test_numbers_of_rows_in_the_history_have_separators(tmp_path: Path) -> None:
    recorded = Shell(tmp_path)
    pipeline, sessions = Pipeline.from_settings(recorded.settings), sessions_between(date(2012, 3, 1), date(2013, 3, 1))
    pipeline.fetch(sessions)
    pipeline.stage(sessions)
    pipeline.publish(sessions)
    assert recorded.run("history").stdout.count("1,200") == 2


def test_query_as_of_a_printed_timestamp_reads_that_snapshot(shell: Shell) -> None:
    [newest, *_] = Pipeline.from_settings(shell.settings).backend.warehouse.history(DAILY_PRICES)
    row = next(line for line in shell.run("history").stdout.splitlines() if str(newest.snapshot_id) in line)
    committed = row.split("│")[2].strip()
    count = "select count(*) as n from published.daily_prices"
    assert shell.run("query", count, "--as-of", committed, "--csv").stdout.split() == ['"n"', "45"]
    error = shell.run_main("query", count, "--as-of", "2013-01-01", code=1).stderr
    assert error.startswith("Nothing was published at 2013-01-01 00:00:00 UTC: the first snapshot is of ")


@pytest.mark.parametrize("command", [("summary",), ("query", "select 1"), ("tables",), ("report",), ("history",)])
def test_reading_without_a_data_folder_names_it_and_creates_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    error = Shell(tmp_path / "new").run_main(*command, code=1).stderr
    assert f"No data of the source recorded exist: the folder {tmp_path / 'new' / 'recorded'} does not exist" in error
    assert "set STOCK_ASSETS_DATA_DIR" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "  ", "/* a comment */", ";"])
def test_an_empty_query_is_rejected_without_a_traceback(shell: Shell, text: str) -> None:
    error = shell.run_main("query", text, code=1).stderr
    assert "it is empty" in error
    assert "Traceback" not in error


def test_tables_lists_relations_and_columns(shell: Shell) -> None:
    out = shell.run("tables").stdout
    for name in ("published.daily_prices", "published.quarantined_prices", "published.adjusted_prices"):
        assert name in out
    columns = shell.run("tables", "published.daily_prices").stdout
    assert "volume_surge_ratio" in columns
    assert "(USD)" in columns
    error = shell.run("tables", "staged.daily_prices", code=2).stderr
    assert (
        "Unknown table 'staged.daily_prices'. Available: published.daily_prices, published.quarantined_prices" in error
    )


def test_quota_prints_the_last_request_of_each_symbol(shell: Shell) -> None:
    out = shell.run("quota").stdout
    for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        assert any(symbol in line and "daily_prices" in line and " ok " in line for line in out.splitlines()), symbol


def test_rollback_to_a_snapshot_of_the_history_and_back(shell: Shell) -> None:
    history = Pipeline.from_settings(shell.settings).backend.warehouse.history(DAILY_PRICES)
    assert [snapshot.rows for snapshot in history] == [45, 20]
    newest, oldest = history
    assert str(newest.snapshot_id) in shell.run("history").stdout
    shell.run("rollback", str(oldest.snapshot_id))
    count = "select count(*) as n, max(trade_date) as d from published.daily_prices"
    assert shell.run("query", count, "--csv").stdout.split() == ['"n","d"', f"20,{date(2013, 2, 22)}"]
    shell.run("rollback", str(newest.snapshot_id))
    assert shell.run("query", count, "--csv").stdout.split() == ['"n","d"', f"45,{date(2013, 3, 1)}"]
    with pytest.raises(UnknownSnapshot, match=str(newest.snapshot_id)):
        shell.invoke("rollback", "1")


def test_maintain_prints_its_result_and_keeps_the_rows(shell: Shell) -> None:
    rows = shell.run("query", "select * from published.daily_prices order by symbol, trade_date", "--csv").stdout
    out = shell.run("maintain").stdout
    assert any("published.daily_prices" in line and "1 to 1" in line for line in out.splitlines())
    assert "Removed: 0 old loads, 0 leftovers of killed runs, 0 old runs, 0 logs of old runs." in out
    assert (
        shell.run("query", "select * from published.daily_prices order by symbol, trade_date", "--csv").stdout == rows
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("backfill", "2013-02-16", "2013-02-16"),
            "There is no session: 2013-02-16 is a Saturday. The next session is 2",
        ),
        (
            ("backfill", "2013-02-17", "2013-02-18"),
            "2013-02-18 is a holiday (President's Day). The next session is 2013",
        ),
        (("backfill", "2012-10-29", "2012-10-29"), "2012-10-29 was an unscheduled closure of the exchange. The next"),
        (("backfill", "2013-03-05", "2013-03-04"), "2013-03-04 is before 2013-03-05. Write the earlier day first"),
        (("backfill", "1990-03-05", "1990-03-05"), "The calendar has the days from 1999-01-01 to 2050-12-31 only"),
        (("backfill", "2050-12-31", "2050-12-31"), "There is no session: 2050-12-31 is a Saturday."),
        (("backfill", "yesterday", "today"), "'yesterday' is no date of the form YYYY-MM-DD"),
        (("history", "published.nothing"), "Unknown table 'published.nothing'. Available: published.daily_prices"),
    ],
)
def test_invalid_arguments_are_rejected_with_a_reason(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    assert message in shell.run(*arguments, code=2).stderr


def test_a_session_after_the_last_one_of_the_source_is_rejected_with_a_remedy(shell: Shell) -> None:
    error = shell.run_main("backfill", "2013-02-27", "2013-03-05", code=1).stderr
    assert "2013-03-04 is after 2013-03-01, the last session of the source (recorded sample" in error
    assert "set STOCK_ASSETS_SOURCE" in error
    assert "SessionOutOfRange" not in error


def test_a_range_whose_last_session_has_not_closed_loads_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path)
    monkeypatch.setattr("stock_assets.core.clock.utc_now", lambda: datetime(2013, 2, 20, 20, 30, tzinfo=UTC))
    output = shell.run("backfill", "2013-02-16", "2013-02-20")
    assert "2013-02-20 has not closed yet. Load it after 21:00 UTC." in output.stderr
    assert "1 session, 2013-02-19 to 2013-02-19" in output.stdout
    assert "Published: published.daily_prices." in output.stdout


def test_a_declared_closure_is_no_session_of_a_backfill(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    error = shell.run_main("backfill", "2013-02-20", "2013-02-20", code=2, STOCK_ASSETS_CLOSURES="2013-02-20").stderr
    assert "2013-02-20 is declared as closed by STOCK_ASSETS_CLOSURES" in error


def test_invalid_settings_are_rejected_with_the_name_of_the_variable(shell: Shell) -> None:
    error = shell.run_main("summary", code=1, STOCK_ASSETS_SOURCE="yahoo").stderr
    assert "SettingsError" not in error
    assert "Traceback" not in error
    assert "STOCK_ASSETS_SOURCE" in error


def test_report_writes_a_file_and_prints_its_path(shell: Shell, tmp_path: Path) -> None:
    file = shell.settings.root / "reports" / "report.html"
    assert shell.run("report").stdout == f"{file}\n"
    assert "recorded sample, ends 2013-03-01" in file.read_text(encoding="utf-8")
    shell.run("report", "--output", str(tmp_path / "a.html"))
    assert (tmp_path / "a.html").stat().st_size == pytest.approx(file.stat().st_size, abs=100)
    shell.run("report", "--symbol", "IBM")
    assert "have 1 of 5 symbols: those that were chosen" in file.read_text(encoding="utf-8")


def test_a_setting_is_the_number_of_symbols_that_the_report_draws(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    shell.run_main("report", "--output", str(file), STOCK_ASSETS_REPORT_SYMBOLS="2")
    assert "have 2 of 5 symbols: those with the highest value of traded shares." in file.read_text(encoding="utf-8")
    shell.run_main("report", "--output", str(file), STOCK_ASSETS_REPORT_SYMBOLS="1000")
    assert "of 5 symbols: " not in file.read_text(encoding="utf-8")
    for invalid in ("0", "1001"):
        error = shell.run_main("report", code=1, STOCK_ASSETS_REPORT_SYMBOLS=invalid).stderr
        assert "STOCK_ASSETS_REPORT_SYMBOLS" in error


def test_a_copied_data_folder_is_rejected_with_a_remedy_that_works(shell: Shell, tmp_path: Path) -> None:
    original, copy, fresh = shell.settings.root, Shell(tmp_path / "copy"), Shell(tmp_path / "fresh")
    shutil.copytree(original, copy.settings.root)
    refusal = f"published.daily_prices lies in {original}/published/daily_prices, outside the data folder"

    for command in (("maintain",), ("summary",), ("backfill", "2013-02-28", "2013-03-01")):
        stderr = copy.run_main(*command, code=1).stderr
        assert refusal in stderr
        assert "Traceback" not in stderr

    shutil.copytree(copy.settings.root / "raw", fresh.settings.root / "raw")
    for name in ("layout.json", "ledger.db"):
        shutil.copy(copy.settings.root / name, fresh.settings.root)
    assert "Published: published.daily_prices." in fresh.run("backfill", "2013-02-16", "2013-03-01").stdout
    rows = f"SELECT {COLUMNS} FROM published.daily_prices ORDER BY symbol, trade_date"
    assert fresh.run("query", rows, "--csv").stdout == shell.run("query", rows, "--csv").stdout


def test_a_damaged_run_history_is_named_with_its_remedy(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    with local_instance(shell.settings):
        pass
    [file] = shell.settings.instance_dir.rglob("runs.db")
    for part in file.parent.glob("runs.db*"):
        part.write_bytes(b"no database" * 1000)
    error = shell.run_main("backfill", "2013-02-28", "2013-03-01", code=1).stderr
    assert f"{file}: it is damaged" in error
    assert "It holds the history of runs, no prices. To fix it, run: stock-assets repair --apply." in error
    assert "Traceback" not in error
    shell.run_main("repair", "--apply")
    shell.run_main("backfill", "2013-02-28", "2013-03-01")


@pytest.mark.parametrize("file", ["ledger.db", "calls.db"])
def test_a_damaged_database_is_named_with_the_command_that_repairs_it(tmp_path: Path, file: str) -> None:
    shell = Shell(tmp_path)
    shell.settings.root.mkdir()
    (shell.settings.root / LAYOUT_KEY).write_bytes(layout_body())
    (shell.settings.root / file).write_bytes(b"no database" * 1000)
    error = shell.run_main("quota", code=1).stderr
    assert f"{shell.settings.root / file}: it is damaged" in error
    assert "To fix it, run: stock-assets repair --apply" in error
    assert "Traceback" not in error
    shell.run_main("repair", "--apply")
    shell.run_main("quota")


def test_a_damaged_database_that_only_a_copy_reads_is_named_too(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.settings.root.mkdir()
    (shell.settings.root / LAYOUT_KEY).write_bytes(layout_body())
    (shell.settings.root / "catalog.db").write_bytes(b"no database" * 1000)
    error = shell.run_main("backup", str(tmp_path / "copy"), code=1).stderr
    assert f"{shell.settings.root / 'catalog.db'}: it is damaged" in error
    assert "To fix it, run: stock-assets repair --apply" in error
    assert "Traceback" not in error


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    error = Shell(tmp_path).run_main("summary", code=1, STOCK_ASSETS_DATA_DIR=str(tmp_path / "file")).stderr
    assert f"{tmp_path / 'file'}" in error
    assert "Check the path, the permissions of the folder and the free space of the disk." in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("stock_assets.core.errors.NothingFetched: no bar arrived\n", "no bar arrived"),
        ("ValueError: a defect", "ValueError: a defect"),
    ],
)
def test_errors_of_this_package_are_printed_without_class_name(
    message: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_error(message)
    assert capsys.readouterr().err == f"{printed}\n"


def test_defaults_of_options_are_those_of_the_package() -> None:
    assert DAILY_PRICES.full_name == DEFAULT_TABLE
    help_text = inspect.getsource(load.import_)
    assert ",".join(DEFAULT_COLUMNS) in help_text
