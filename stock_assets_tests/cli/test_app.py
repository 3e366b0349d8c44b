"""The command line, as its users type it."""

import csv
import io
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.cli.app import app
from stock_assets.core.errors import StockAssetsError, UnknownSnapshot
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings
from stock_assets_tests.support.bars import deliver

COLUMNS = "symbol, trade_date, close_price, volume, is_market_up"


@dataclass(frozen=True)
class Ran:
    """What a command printed."""

    stdout: str
    stderr: str


class Shell:
    """Runs commands on one data folder, in this process; `main` as a process of its own."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data_dir=data)
        self._environment = {"STOCK_ASSETS_DATA_DIR": str(data)}

    def run(self, *arguments: str, code: int = 0) -> Ran:
        """Run a command and expect its exit code."""
        done = CliRunner().invoke(app, arguments, env=self._environment)
        assert done.exit_code == code, f"{done.output}{done.exception!r}"
        return Ran(done.stdout, done.stderr)

    def invoke(self, *arguments: str) -> None:
        """Run a command and let its error through."""
        failure = CliRunner().invoke(app, arguments, env=self._environment).exception
        assert isinstance(failure, StockAssetsError)
        raise failure

    def run_process(self, *arguments: str, code: int = 0, **environment: str) -> Ran:
        """Run a command as its own process."""
        done = subprocess.run(
            [sys.executable, "-m", "stock_assets", *arguments],
            cwd=self.settings.data_dir,
            env=self._environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return Ran(done.stdout, done.stderr)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder in which two ranges are published."""
    shell = Shell(tmp_path_factory.mktemp("data"))
    first = shell.run("backfill", "2013-02-16", "2013-02-22").stdout
    assert "recorded sample, ends 2013-03-01: 4 sessions, 2013-02-19 to 2013-02-22" in first
    assert "Published: published.daily_prices." in first
    shell.run("backfill", "2013-02-25", "2013-03-01")
    return shell


def test_backfill_ends_with_a_table_per_symbol_and_where_it_lies(shell: Shell) -> None:
    out = shell.run("summary").stdout
    apple = next(line for line in out.splitlines() if "AAPL" in line)
    cells = [cell.strip() for cell in apple.strip("│┃ ").split("│")]
    assert cells[:6] == ["AAPL", "9", "2013-02-19", "2013-03-01", "0", "430.47"]
    assert str(shell.settings.root / "published" / "daily_prices") in out
    assert "recorded sample, ends 2013-03-01" in out


def test_a_second_backfill_says_that_nothing_changed(shell: Shell) -> None:
    assert "Nothing changed" in shell.run("backfill", "2013-02-25", "2013-03-01").stdout


def test_query_prints_a_table(shell: Shell) -> None:
    out = shell.run(
        "query", f"select {COLUMNS} from published.daily_prices where symbol = 'IBM' order by 2 desc"
    ).stdout
    assert "close_price" in out
    assert "2013-03-01" in out
    assert "9 rows" in out


def test_query_prints_csv_and_nothing_else(shell: Shell) -> None:
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


def test_a_wrong_query_is_one_readable_line(shell: Shell) -> None:
    error = shell.run_process("query", "select nothing from published.daily_prices", code=1).stderr
    assert error.startswith("QueryFailed: ")
    assert "Traceback" not in error


@pytest.mark.parametrize("text", ["", "  ", "/* a comment */", ";"])
def test_an_empty_query_is_a_readable_error(shell: Shell, text: str) -> None:
    error = shell.run_process("query", text, code=1).stderr
    assert "it is empty" in error
    assert "Traceback" not in error


def test_tables_lists_names_and_columns(shell: Shell) -> None:
    out = shell.run("tables").stdout
    for name in ("published.daily_prices", "published.quarantined_prices", "published.adjusted_prices"):
        assert name in out
    columns = shell.run("tables", "published.daily_prices").stdout
    assert "volume_surge_ratio" in columns
    assert "(USD)" in columns
    assert "there is no staged.daily_prices" in shell.run("tables", "staged.daily_prices", code=2).stderr


def test_budget_shows_the_last_request_of_every_symbol(shell: Shell) -> None:
    out = shell.run("quota").stdout
    for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        assert any(symbol in line and "daily_prices" in line and " ok " in line for line in out.splitlines()), symbol


def test_history_and_rollback_and_back(shell: Shell) -> None:
    history = Pipeline.from_settings(shell.settings).backend.warehouse.history(DAILY_PRICES)
    assert [version.rows for version in history] == [45, 20]
    newest, oldest = history
    assert str(newest.snapshot_id) in shell.run("history").stdout
    shell.run("rollback", str(oldest.snapshot_id))
    count = "select count(*) as n, max(trade_date) as d from published.daily_prices"
    assert shell.run("query", count, "--csv").stdout.split() == ['"n","d"', f"20,{date(2013, 2, 22)}"]
    shell.run("rollback", str(newest.snapshot_id))
    assert shell.run("query", count, "--csv").stdout.split() == ['"n","d"', f"45,{date(2013, 3, 1)}"]
    with pytest.raises(UnknownSnapshot, match=str(newest.snapshot_id)):
        shell.invoke("rollback", "1")


def test_maintain_says_what_it_did_and_keeps_the_rows(shell: Shell) -> None:
    rows = shell.run("query", "select * from published.daily_prices order by symbol, trade_date", "--csv").stdout
    out = shell.run("maintain").stdout
    assert any("published.daily_prices" in line and "1 to 1" in line for line in out.splitlines())
    assert "0 old loads dropped, 0 leftovers removed, 0 runs deleted" in out
    assert (
        shell.run("query", "select * from published.daily_prices order by symbol, trade_date", "--csv").stdout == rows
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backfill", "2013-02-16", "2013-02-18"), "there is no trading session"),
        (("backfill", "2013-03-05", "2013-03-04"), "there is no trading session"),
        (("backfill", "yesterday", "today"), "does not match"),
        (("history", "published.nothing"), "is not a published table"),
    ],
)
def test_unusable_arguments_are_refused_with_a_reason(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert said in " ".join(shell.run(*arguments, code=2).stderr.split())


def test_a_session_outside_the_recording_is_refused_with_a_reason(shell: Shell) -> None:
    error = shell.run_process("backfill", "2013-02-27", "2013-03-05", code=1).stderr
    assert "SessionOutOfRange: 2013-03-04 has no partition" in error
    assert "recorded sample, ends 2013-03-01" in error


def test_unusable_settings_name_the_variable(shell: Shell) -> None:
    error = shell.run_process("summary", code=1, STOCK_ASSETS_SOURCE="yahoo").stderr
    assert error.startswith("SettingsError: ")
    assert "STOCK_ASSETS_SOURCE" in error


def test_only_what_is_missing_is_run(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.run("backfill", "2013-02-05", "2013-02-07")
    shell.run("backfill", "2013-02-25", "2013-02-25")
    before = len(Pipeline.from_settings(shell.settings).backend.warehouse.history(DAILY_PRICES))

    out = shell.run("backfill", "2013-02-04", "2013-02-27", "--missing").stdout

    assert "Missing: 2013-02-04, 2013-02-08 to 2013-02-22, 2013-02-26 to 2013-02-27; runs: 1." in out
    assert len(Pipeline.from_settings(shell.settings).backend.warehouse.history(DAILY_PRICES)) == before + 1
    count = "select count(*) as n from published.daily_prices"
    assert shell.run("query", count, "--csv").stdout.split() == ['"n"', "85"]

    again = shell.run("backfill", "2013-02-04", "2013-02-27", "--missing").stdout
    assert "Missing: nothing; runs: 0." in again
    assert "AAPL" in again


def test_a_refused_session_is_named_and_does_not_hold_back_the_others(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    backend = Pipeline.from_settings(shell.settings).backend
    shell.run("backfill", "2013-02-01", "2013-02-01")
    for symbol in ("AAPL", "IBM"):
        lines = backend.objects.get(newest_payload(backend, symbol)).decode().splitlines()
        bad = [line.rpartition(",")[0] + ",-1" if line.startswith("2013-02-12") else line for line in lines]
        deliver(backend, symbol, "".join(f"{line}\r\n" for line in bad).encode())

    refused = shell.run("backfill", "2013-02-11", "2013-02-14", code=1)
    assert "2 of 5 symbols quarantined" in refused.stderr

    out = shell.run("backfill", "2013-02-11", "2013-02-14", "--missing", code=1)
    assert "2013-02-12 is left out: quarantined_share_within_limit refused its bars" in out.stderr
    assert "Missing: 2013-02-11, 2013-02-13 to 2013-02-14; runs: 2." in out.stdout
    days = shell.run("query", "select distinct trade_date as d from published.daily_prices order by 1", "--csv").stdout
    assert days.split()[1:] == ["2013-02-01", "2013-02-11", "2013-02-13", "2013-02-14"]

    again = shell.run("backfill", "2013-02-11", "2013-02-14", "--missing", code=1)
    assert "Missing: only rejected sessions; runs: 0." in again.stdout
    assert "Rejected and still missing: 2013-02-12." in again.stderr
    elsewhere = shell.run("backfill", "2013-02-13", "2013-02-14", "--missing")
    assert "Missing: nothing; runs: 0." in elsewhere.stdout
    assert "Rejected" not in elsewhere.stderr


def newest_payload(backend: Backend, symbol: str) -> str:
    """Key of the newest answer about a symbol."""
    return backend.ledger.fetches(FetchKind.PRICES, symbol=symbol)[0].response_key


def test_report_writes_one_file_and_prints_its_path(shell: Shell, tmp_path: Path) -> None:
    file = shell.settings.root / "served" / "report.html"
    assert shell.run("report").stdout == f"{file}\n"
    assert "recorded sample, ends 2013-03-01" in file.read_text(encoding="utf-8")
    shell.run("report", "--output", str(tmp_path / "a.html"))
    assert (tmp_path / "a.html").stat().st_size == pytest.approx(file.stat().st_size, abs=100)


def test_a_copied_data_folder_is_refused_without_a_traceback_and_its_remedy_works(shell: Shell, tmp_path: Path) -> None:
    original, copy, fresh = shell.settings.root, Shell(tmp_path / "copy"), Shell(tmp_path / "fresh")
    shutil.copytree(original, copy.settings.root)
    refusal = f"published.daily_prices lies in {original}/published/daily_prices, outside the data folder"

    for command in (("maintain",), ("summary",), ("backfill", "2013-02-28", "2013-03-01")):
        stderr = copy.run_process(*command, code=1).stderr
        assert refusal in stderr
        assert "Traceback" not in stderr

    shutil.copytree(copy.settings.root / "raw", fresh.settings.root / "raw")
    for name in ("layout.json", "ledger.db"):
        shutil.copy(copy.settings.root / name, fresh.settings.root)
    assert "Published: published.daily_prices." in fresh.run("backfill", "2013-02-16", "2013-03-01").stdout
    rows = f"SELECT {COLUMNS} FROM published.daily_prices ORDER BY symbol, trade_date"
    assert fresh.run("query", rows, "--csv").stdout == shell.run("query", rows, "--csv").stdout
