"""The commands `symbols ...`: what they write into the universe file, and what they reject."""

from pathlib import Path

import pytest

from stock_assets_tests.support.shell import Output, Shell

HEADER = "symbol,name,first_session,last_session\n"
TEXT = HEADER + 'IBM,"International, Business",2000-03-01,\nFB, Facebook ,2012-05-18,\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A universe file of two symbols, one of them with blanks and quotes."""
    file = tmp_path / "universe.csv"
    file.write_text(TEXT, encoding="utf-8")
    return file


def run(file: Path, *arguments: str, code: int = 0, source: str = "alpha_vantage") -> Output:
    """Run a `symbols` command on a universe file."""
    environment = {"STOCK_ASSETS_UNIVERSE": str(file), "STOCK_ASSETS_SOURCE": source}
    return Shell(file.parent / "data").run_main("symbols", *arguments, code=code, **environment)


def test_list_shows_listings_and_the_file(file: Path) -> None:
    out = run(file, "list").stdout
    assert "International, Business" in out
    assert f"File: {file}" in out


def test_a_symbol_is_added_renamed_and_removed(file: Path) -> None:
    out = run(file, "add", "nvda", "--name", "NVIDIA", "--first-session", "1999-01-22").stdout
    assert out.startswith("Added NVDA. The next run sends one request for the prices of NVDA and one for its splits: 2")
    assert "NVDA,NVIDIA,1999-01-22,\n" in file.read_text(encoding="utf-8")
    assert "FB ends before 2022-06-09, and META begins." in run(file, "rename", "FB", "META", "2022-06-09").stdout
    assert "its published history and its raw responses stay" in run(file, "remove", "NVDA").stdout
    assert file.read_text(encoding="utf-8") == HEADER + (
        'IBM,"International, Business",2000-03-01,\nFB,Facebook,2012-05-18,2022-06-08\nMETA,Facebook,2022-06-09,\n'
    )
    assert [path.name for path in file.parent.iterdir()] == ["universe.csv"], "no data folder, no partial file"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "IBM"), "has IBM twice"),
        (("add", "BRK B"), "'BRK B' is not a symbol"),
        (("remove", "NOPE"), "It has no listed symbol NOPE. Symbols: IBM, FB"),
        (("rename", "NOPE", "META", "2022-06-09"), "It has no listed symbol NOPE"),
    ],
)
def test_an_invalid_change_is_rejected_and_changes_nothing(
    file: Path, arguments: tuple[str, ...], message: str
) -> None:
    error = run(file, *arguments, code=1).stderr
    assert error.startswith("The universe was not changed. ")
    assert message in error
    assert file.read_text(encoding="utf-8") == TEXT
    assert [path.name for path in file.parent.iterdir()] == ["universe.csv"]


def test_a_new_ticker_begins_with_a_session(file: Path) -> None:
    error = run(file, "rename", "FB", "META", "2022-06-11", code=2).stderr
    assert "2022-06-11 is a Saturday" in " ".join(error.replace("│", "").split())


def test_more_symbols_than_calls_are_rejected(file: Path) -> None:
    lines = [f"A{number}X,,,\n" for number in range(25)]
    file.write_text(HEADER + "".join(lines), encoding="utf-8")
    assert "The universe has 26 symbols, but the plan allows 25 calls per day" in run(file, "add", "IBM", code=1).stderr
    assert len(file.read_text(encoding="utf-8").splitlines()) == 26


def test_the_file_of_the_package_is_not_changed(tmp_path: Path) -> None:
    error = Shell(tmp_path).run_main("symbols", "add", "NVDA", code=1).stderr
    assert "export STOCK_ASSETS_UNIVERSE=universe.csv" in error
    assert "recorded.csv universe.csv" in error
