"""The command `import`: what it prints, stores and publishes."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_assets.backends.interface import FetchKind
from stock_assets.core.calendar import sessions_between
from stock_assets.core.errors import LegacyDataUnusable, SettingsError
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings, SourceName
from stock_assets.sources.recorded import SYMBOLS, RecordedSource
from stock_assets_tests.fakes.source import ScriptedSource, scripted_from_recording
from stock_assets_tests.support.legacy_files import HEADER, firehose, legacy_bars, write_legacy_file
from stock_assets_tests.support.shell import Shell
from stock_assets_tests.support.steps import load_range, local_backend, published_rows

SESSIONS = sessions_between(date(2013, 2, 4), date(2013, 2, 15))
# The earlier pipeline has no bar of one session, so no run may include it.
MISSED = date(2013, 2, 6)
LEFT = [session for session in SESSIONS if session != MISSED]


@pytest.fixture(scope="module")
def source() -> ScriptedSource:
    return scripted_from_recording(SYMBOLS, SESSIONS)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "data")


def test_a_dry_run_prints_and_an_import_stores_the_bars(shell: Shell, tmp_path: Path, source: ScriptedSource) -> None:
    folder = firehose(tmp_path / "old", source, SYMBOLS, LEFT)
    write_legacy_file(folder / "2013/02/04/23/more", f"{HEADER}\n2013-02-04,ZZZ,1,2,1,2,5\n2013-02-04,AAPL\n")
    backend = Pipeline.from_settings(shell.settings).backend

    dry_run = shell.run("import", str(folder), "--dry-run")
    assert "19 files, 92 rows: 45 repeated" in dry_run.stdout
    assert "1 row not imported, symbol not in the universe: ZZZ" in dry_run.stderr
    assert "/2013/02/04/23/more, line 2: 2013-02-04,ZZZ,1,2,1,2,5. What to do: add it to the universe" in dry_run.stderr
    assert "/2013/02/04/23/more, line 3: 2 fields instead of 7" in dry_run.stderr
    assert backend.ledger.fetches(FetchKind.PRICES) == []

    stored = shell.run("import", str(folder), "--no-publish")
    assert "To publish them, run the import again without --no-publish." in stored.stdout
    assert len(backend.ledger.fetches(FetchKind.PRICES)) == len(SYMBOLS)
    assert backend.warehouse.history(DAILY_PRICES) == []

    again = shell.run("import", str(folder))
    assert "Nothing new: all bars are stored already." in again.stdout
    assert len(published_rows(backend)) == len(SYMBOLS) * len(LEFT)
    assert "All imported bars are published or in quarantine." in shell.run("import", str(folder)).stdout


def test_imported_sessions_are_loaded_in_few_runs_without_requests(
    shell: Shell, tmp_path: Path, source: ScriptedSource
) -> None:
    folder = firehose(tmp_path / "old", source, SYMBOLS, LEFT)
    out = shell.run("import", str(folder)).stdout
    assert out.count("Published: published.daily_prices.") == 2, "the missed session separates the runs"
    assert any("AAPL" in line and " 9 " in line and "2013-02-15" in line for line in out.splitlines())
    backend = Pipeline.from_settings(shell.settings).backend
    assert all(fetch.is_landing_file for fetch in backend.ledger.fetches(FetchKind.PRICES))

    usual = local_backend(tmp_path / "usual")
    for first, last in ((SESSIONS[0], SESSIONS[1]), (SESSIONS[3], SESSIONS[-1])):
        load_range(usual, RecordedSource(), Pipeline.from_settings(shell.settings).universe, first, last)
    assert published_rows(backend) == published_rows(usual)


def test_a_session_with_few_bars_is_excluded_and_named(shell: Shell, tmp_path: Path, source: ScriptedSource) -> None:
    folder = firehose(tmp_path / "old", source, SYMBOLS, SESSIONS[:3])
    firehose(folder, source, ["AAPL"], SESSIONS[3:4])
    ran = shell.run("import", str(folder), code=1)
    assert "1 of 5 symbols" in ran.stderr
    assert "2013-02-07" in ran.stderr
    assert "The bars are stored. Fix the cause and run the import again" in ran.stderr
    rows = published_rows(Pipeline.from_settings(shell.settings).backend)
    assert {row["trade_date"] for row in rows} == set(SESSIONS[:3])


def test_the_files_of_a_lambda_and_firehose_are_published_with_the_default_universe(tmp_path: Path) -> None:
    symbols = ["AMD", "NVDA", "INTC", "MU", "QCOM", "LSCC"]
    sessions = sessions_between(date(2025, 5, 19), date(2025, 5, 23))
    for session in sessions:
        records = [
            f'{{"date": "{session}", "symbol": "{symbol}", "open": 40.5, "high": {41 + number}, "low": 39.25, '
            f'"close": {40 + number / 4}, "volume": {1000 + number}, "row_ts": "{session} 22:00:00.123456"}}\n'
            for number, symbol in enumerate(symbols)
        ]
        write_legacy_file(tmp_path / f"old/{session:%Y/%m/%d}/22/PUT-S3-1-{session}-22-00-05", "".join(records))
    shell = Shell(tmp_path / "data", STOCK_ASSETS_SOURCE="alpha_vantage")
    ran = shell.run("import", str(tmp_path / "old"))
    assert "5 rows not imported, symbol not in the universe: LSCC, 2025-05-19 to 2025-05-23" in ran.stderr
    assert "Published: published.daily_prices." in ran.stdout
    assert not any(name in ran.stderr for name in ("TSM 2025", "minimum_coverage", "symbols_still_trade"))
    settings = Settings(data_dir=tmp_path / "data", source=SourceName.ALPHA_VANTAGE)
    rows = published_rows(Pipeline.from_settings(settings).backend)
    assert {(row["symbol"], row["trade_date"]) for row in rows} == {
        (symbol, session) for symbol in symbols[:-1] for session in sessions
    }


def test_columns_and_the_time_of_files_can_be_given(shell: Shell, tmp_path: Path, source: ScriptedSource) -> None:
    lines = [",".join([bar[1], bar[0], *bar[2:]]) for bar in legacy_bars(source, SYMBOLS, SESSIONS)]
    write_legacy_file(tmp_path / "old.csv", "\n".join(lines), datetime(1980, 1, 1, tzinfo=UTC))
    columns = "symbol,date,open,high,low,close,volume"
    without_time = shell.run("import", str(tmp_path / "old.csv"), "--columns", columns)
    assert "dated after it was written" in without_time.stderr
    assert "--fetched-at" in without_time.stderr
    out = shell.run(
        "import", str(tmp_path / "old.csv"), "--columns", columns, "--fetched-at", "2013-03-01", "--no-publish"
    )
    assert "The bars are stored, not published." in out.stdout
    [fetch, *_] = Pipeline.from_settings(shell.settings).backend.ledger.fetches(FetchKind.PRICES)
    assert fetch.fetched_at == datetime(2013, 3, 1, tzinfo=UTC)


def test_an_unknown_address_or_missing_region_is_an_error(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(LegacyDataUnusable, match="does not exist; name the file or folder"):
        shell.invoke("import", str(tmp_path / "nothing"))
    for address in ("s3://bucket/folder", "glue:database.table"):
        with pytest.raises(SettingsError, match="STOCK_ASSETS_AWS_REGION"):
            shell.invoke("import", address)
