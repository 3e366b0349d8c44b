"""The command `init`: a folder in which the other commands work without a clone."""

import stat
from pathlib import Path

import pytest

from stock_assets.settings import Settings, SourceName
from stock_assets_tests.support.shell import Shell


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which `.env` is read."""
    monkeypatch.delenv("STOCK_ASSETS_ENV_FILE")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a command without settings of the test, except those given."""
    shell = Shell(folder / "data", STOCK_ASSETS_DATA_DIR="")
    done = shell.run_main(*arguments, code=code, **environment)
    return done.stdout + done.stderr


def test_the_files_are_written_and_the_settings_are_read(empty: Path) -> None:
    out = run(empty, "init", STOCK_ASSETS_SOURCE="alpha_vantage")
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["Created", "data"],
        ["Created", "universe.csv"],
        ["Created", ".env"],
    ]
    assert stat.S_IMODE((empty / ".env").stat().st_mode) == 0o600, "a key is written into it"
    settings = Settings.from_env()
    assert settings.source is SourceName.ALPHA_VANTAGE
    assert settings.universe == empty / "universe.csv"
    assert settings.data_dir == empty / "data"


def test_a_symbol_can_be_added_after_it_and_not_before(empty: Path) -> None:
    refused = run(empty, "symbols", "add", "AAPL", code=1, STOCK_ASSETS_SOURCE="alpha_vantage")
    assert "Run stock-assets init" in refused
    run(empty, "init", STOCK_ASSETS_SOURCE="alpha_vantage")
    assert "Added AAPL." in run(empty, "symbols", "add", "AAPL")
    assert (empty / "universe.csv").read_text(encoding="utf-8").splitlines()[-1] == "AAPL,,,"


def test_existing_files_stay_and_a_missing_line_is_named(empty: Path) -> None:
    folder = empty / "new" / "place"
    run(empty, "init", str(folder))
    assert "AAPL,Apple" in (folder / "universe.csv").read_text(encoding="utf-8"), "of the recorded sample"
    (folder / ".env").write_text("STOCK_ASSETS_SOURCE=recorded\n", encoding="utf-8")
    (folder / "universe.csv").write_text("symbol\nIBM\n", encoding="utf-8")
    out = run(empty, "init", str(folder))
    assert out.count("Kept ") == 3
    assert "Add the line STOCK_ASSETS_UNIVERSE=universe.csv" in " ".join(out.split())
    assert (folder / "universe.csv").read_text(encoding="utf-8") == "symbol\nIBM\n"
    assert (folder / ".env").read_text(encoding="utf-8") == "STOCK_ASSETS_SOURCE=recorded\n"
